"""Writes the argument schemas of the Terraform resources that a folder uses, as the provider protocol wants them.

The AWS provider itself comes from a registry that a build machine need not reach. The npm package
@cdktf/provider-aws is generated from that provider's own schema, resource by resource, and carries its TypeScript
source: names, types, nesting, required, optional, computed. This reads it back.

    terraform_schema.py PACKAGE_FOLDER TERRAFORM_FOLDER OUTPUT
"""

import base64
import json
import pathlib
import re
import sys

from tf.gen import tfplugin_pb2 as pb

FIELD = re.compile(r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(.*?)(?=\n  // \w+ - computed|\n  // =|\Z)", re.S)
HCL = re.compile(r"(\w+): \{\s*value: ([^\n]*?),?\n\s*isBlock: (\w+),\s*type: \"(\w+)\",\s*storageClassType: \"(\w+)\"")
NESTING = pb.Schema.NestedBlock.NestingMode

# The package gives up on the firewall's rules, which nest within themselves, and calls them "any". Those that are used
# here, from the provider's documentation: attribute: type (! is required), or a block (a list of one is "at most one").
ACTION = [{action: [{}] for action in ("allow", "block", "captcha", "challenge", "count")}]
SUPPLEMENT = {
    "Wafv2WebAclRule.statement": {
        "geo_match_statement": [{"country_codes": ["list", "string", "!"]}],
        "rate_based_statement": [{
            "limit": ["number", "!"], "aggregate_key_type": ["string"], "evaluation_window_sec": ["number"],
        }],
        "managed_rule_group_statement": [{
            "name": ["string", "!"], "vendor_name": ["string", "!"], "version": ["string"],
            "rule_action_override": {"name": ["string", "!"], "action_to_use": ACTION},
        }],
    }
}  # fmt: skip


def supplement(fields):
    block = pb.Schema.Block()
    for name, what in fields.items():
        single = isinstance(what, list) and isinstance(what[0], dict)
        if single or isinstance(what, dict):
            inner = supplement(what[0] if single else what)
            block.block_types.add(type_name=name, block=inner, nesting=NESTING.LIST, max_items=int(single))
        else:
            kind = [w for w in what if w != "!"]
            kind = json.dumps(kind if len(kind) > 1 else kind[0]).encode()
            block.attributes.add(name=name, type=kind, required="!" in what, optional="!" not in what)
    return block



def source(folder):
    text = (folder / "index.js").read_text()
    found = re.search(r"sourceMappingURL=data:application/json;base64,(\S+)", text)
    return json.loads(base64.b64decode(found[1]))["sourcesContent"][0]


def scalar(code):
    """The type of an attribute, from its declaration or its getter."""
    for pattern, kind in (
        (r"getStringMapAttribute|\{ \[key: string\]: string \}", ["map", "string"]),
        (r"getNumberMapAttribute|\{ \[key: string\]: number \}", ["map", "number"]),
        (r"getBooleanMapAttribute|\{ \[key: string\]: \(?boolean", ["map", "bool"]),
        (r"StringMapList", ["list", ["map", "string"]]),
        (r"getAnyMapAttribute", ["map", "dynamic"]),
        (r"Fn\.tolist\(this\.getListAttribute", ["set", "string"]),
        (r"Fn\.tolist\(this\.getNumberListAttribute|Token\.asNumberList\(", ["set", "number"]),
        (r"getNumberListAttribute|: number\[\]", ["list", "number"]),
        (r"getListAttribute|: string\[\]", ["list", "string"]),
        (r"getNumberAttribute|: number;", "number"),
        (r"getBooleanAttribute|: boolean", "bool"),
        (r"getStringAttribute|: string;", "string"),
    ):
        if re.search(pattern, code):
            return kind
    return "dynamic"


class File:
    def __init__(self, folder):
        text = source(folder)
        parts = re.split(r"\nexport (?:interface|class|function) (\w+)", text)
        self.classes, self.hcl, self.resource = {}, {}, None
        for name, body in zip(parts[1::2], parts[2::2]):
            if name.endswith("ToHclTerraform"):
                self.hcl[name] = {n: rest for n, *rest in HCL.findall(body)}
            elif "synthesizeHclAttributes" in body:
                self.resource = name
                self.hcl[name] = {n: rest for n, *rest in HCL.findall(body[body.find("synthesizeHclAttributes") :])}
                self.classes[name] = FIELD.findall(body)
            elif "extends cdktf.Complex" in body.split("{", 1)[0]:
                self.classes[name] = FIELD.findall(body)

    def table(self, cls):
        if cls == self.resource:
            return self.hcl[cls]
        name = cls.removesuffix("OutputReference")
        return self.hcl.get(name[0].lower() + name[1:] + "ToHclTerraform", {})

    def object_type(self, cls):
        """The type of a computed object: its fields, none of which can be set."""
        fields = {}
        for name, *_, code in self.classes.get(cls, []):
            inner = re.search(r"= new (\w+?)(List|Map)?(?:OutputReference)?\(this, \"\w+\"(?:, (\w+))?\)", code)
            fields[name] = self.nested_type(inner) if inner and not inner[1].startswith("cdktf") else scalar(code)
        return ["object", fields]

    def nested_type(self, found):
        wraps = "set" if found[3] == "true" else "list"
        return [wraps, self.object_type(found[1] + "OutputReference")]

    def written(self, name):
        """A block of the provider's own configuration, which has no class of its own, only how it is written."""
        out = pb.Schema.Block()
        for field, (_, _, kind, storage) in self.hcl[name[0].lower() + name[1:] + "ToHclTerraform"].items():
            scalar_of = storage.removesuffix("List").removesuffix("Map").replace("boolean", "bool")
            typed = scalar_of if kind == "simple" else [kind, scalar_of]
            out.attributes.add(name=field, type=json.dumps(typed).encode(), optional=True)
        return out

    def block(self, cls):
        out, table = pb.Schema.Block(), self.table(cls)
        for name, computed, optional, required, code in self.classes[cls]:
            inner = re.search(r"= new (\w+?)(List|Map)?(?:OutputReference)?\(this, \"\w+\"(?:, (\w+))?\)", code)
            settable = "true" in (optional, required)
            if inner and settable and table.get(name, ["", "true"])[1] == "true":
                kind = table.get(name, ["", "true", "list"])[2]
                nest = out.block_types.add(type_name=name, block=self.block(inner[1] + "OutputReference"))
                nest.nesting = {"struct": NESTING.SINGLE, "set": NESTING.SET}.get(kind, NESTING.LIST)
                if nest.nesting != NESTING.SINGLE:
                    nest.min_items = int(required == "true")
                    nest.max_items = int(inner[2] is None)
                continue
            plain = re.search(r"\?: (AwsProvider\w+)\[\]", code)
            if plain:
                out.block_types.add(type_name=name, block=self.written(plain[1]), nesting=NESTING.LIST)
                continue
            known = SUPPLEMENT.get(f"{cls.removesuffix('OutputReference')}.{name}")
            if known:
                out.block_types.add(type_name=name, block=supplement(known), nesting=NESTING.LIST, min_items=1, max_items=1)
                continue
            kind = self.nested_type(inner) if inner and not inner[1].startswith("cdktf") else scalar(code)
            row = table.get(name)
            if row and row[2] in ("set", "list") and isinstance(kind, list):
                kind = [row[2], kind[1]]
            out.attributes.add(name=name, type=json.dumps(kind).encode(), required=required == "true",
                               optional=optional == "true", computed=computed == "true")  # fmt: skip
        return out

    def schema(self):
        return pb.Schema(block=self.block(self.resource))


def main(package, root, output):
    lib = pathlib.Path(package) / "lib"
    used = set()
    for path in pathlib.Path(root).rglob("*.tf*"):
        if path.is_file() and ".terraform" not in path.parts and path.suffix in (".tf", ".hcl"):
            used |= set(re.findall(r'^\s*(resource|data) "(aws_\w+)"', path.read_text(), re.M))
    answer = pb.GetProviderSchema.Response()
    answer.provider.CopyFrom(File(lib / "provider").schema())
    for kind, name in sorted(used):
        folder = lib / (name.removeprefix("aws_") if kind == "resource" else "data-" + name).replace("_", "-")
        if not folder.is_dir():
            print(f"terraform: the provider has no {kind} {name}", file=sys.stderr)
            continue
        into = answer.resource_schemas if kind == "resource" else answer.data_source_schemas
        into[name].CopyFrom(File(folder).schema())
    pathlib.Path(output).write_bytes(answer.SerializeToString())
    print(f"schemas of {len(answer.resource_schemas)} resources and {len(answer.data_source_schemas)} data sources")


if __name__ == "__main__":
    main(*sys.argv[1:])
