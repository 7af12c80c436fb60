"""Checks of Terraform's folder that Terraform does not make: what stands there is used, and what is used is narrow; what it gives
to the Kubernetes overlays arrives there.

    terraform_check.py TERRAFORM_FOLDER [KUBERNETES_FOLDER]

Needs kubectl, and ruamel.yaml, which the schema checker of the other checks brings along.
"""

import ipaddress
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML

SHARED = ["main.tf", "variables.tf", "outputs.tf", "versions.tf"]
ENVIRONMENTS = ["production", "staging", "development"]
MODULES = ["networking", "kubernetes", "databases", "security", "monitoring"]
# Whatever is forced by AWS or only refuses says so in a comment above its statement.
WILDCARD = re.compile(r'^\s*(Action|Resource|NotAction|NotResource|resources)\s*=\s*\[?\s*"(?:[a-z0-9-]+:)?\*"|"[a-z0-9-]+:\*"')

# AWS' own policies grow without our doing, so each that is attached stands here, with why it is not too much.
MANAGED = {
    "AmazonEC2ContainerRegistryPullOnly": "nodes pull images",
    "AmazonEKSClusterPolicy": "the control plane's own, which EKS demands",
    "AmazonEKSWorkerNodePolicy": "nodes join their cluster",
    "AmazonEKS_CNI_Policy": "nodes give pods addresses",
    "ReadOnlyAccess": "a plan reads the settings of whatever there is; deploy.tf refuses it the content",
    "service-role/AWSBackupServiceRolePolicyForBackup": "AWS Backup's own service",
    "service-role/AWSBackupServiceRolePolicyForRestores": "AWS Backup's own service",
    "service-role/AmazonEBSCSIDriverPolicy": "bound to the tags of the disk driver",
    "service-role/AmazonRDSEnhancedMonitoringRole": "writes figures of RDS",
}

faults = []


def fault(path, text):
    faults.append(f"{path}: {text}")


def text_of(folder):
    return "\n".join(p.read_text() for p in sorted(folder.glob("*.tf")))


def names(kind, text):
    return set(re.findall(rf'^{kind} "([\w-]+)"', text, re.M))


def bodies(kind, text):
    """name: the block's inside, by its closing brace at the line's beginning."""
    return dict(re.findall(rf'^{kind} "([\w-]+)" {{\n(.*?)^}}', text, re.M | re.S))


def module(folder):
    text = text_of(folder)
    for name in names("variable", text):
        inside = re.sub(rf'^variable "{name}" {{.*?^}}', "", text, flags=re.M | re.S)
        if not re.search(rf"\bvar\.{name}\b", inside):
            fault(folder, f"nobody uses variable {name}")
    for kind in ("variable", "output"):
        for name, body in bodies(kind, text).items():
            if "description" not in body:
                fault(folder, f"{kind} {name} has no description")
            if kind == "variable" and "type" not in body:
                fault(folder, f"variable {name} has no type")
    for name in re.findall(r"^  ([a-z]\w*)\s*= ", "\n".join(re.findall(r"^locals {\n(.*?)^}", text, re.M | re.S)), re.M):
        if not re.search(rf"\blocal\.{name}\b", text):
            fault(folder, f"nobody uses local {name}")
    for what in re.findall(r'^data "(\w+)" "(\w+)"', text, re.M):
        if "data." + ".".join(what) not in text:
            fault(folder, f"nobody uses data {'.'.join(what)}")
    for path in sorted(folder.glob("*.tf")):
        wildcards(path)
    readme = folder / "README.md"
    if folder.parent.name != "modules":
        return
    if not readme.exists() or not list(folder.glob("tests/*.tftest.hcl")):
        return fault(folder, "has no README or no tests")
    page = readme.read_text()
    for kind in ("variable", "output"):
        for name in names(kind, text):
            if f"`{name}`" not in page:
                fault(readme, f"does not name {kind} {name}")


def wildcards(path):
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if WILDCARD.search(line) and not line.lstrip().startswith("#"):
            # The reason stands above it in the same resource.
            above = lines[:number]
            start = max((i for i, a in enumerate(above) if re.match(r"^(resource|data) ", a)), default=0)
            if not any("# wildcard:" in a for a in above[start:]):
                fault(f"{path}:{number + 1}", "a wildcard without a reason (# wildcard: …) in its resource")
        for policy in re.findall(r"arn:aws:iam::aws:policy/([\w/-]+)", line):
            if policy not in MANAGED:
                fault(f"{path}:{number + 1}", f"attaches {policy}, which nobody weighed (MANAGED)")
        if "checkov:skip=" in line and not re.search(r"checkov:skip=\w+:.{20,}", line):
            fault(f"{path}:{number + 1}", "a check is left out without a reason")


def environment(root, folder):
    text = text_of(folder)
    for name in SHARED:
        if (folder / name).read_bytes() != (root / "environments/production" / name).read_bytes():
            fault(folder / name, "differs from production's: what differs belongs in terraform.tfvars")
    calls = bodies("module", text)
    if sorted(calls) != sorted(MODULES):
        fault(folder, f"calls {sorted(calls)} and not {sorted(MODULES)}")
    for name, body in calls.items():
        inside = text_of(root / "modules" / name)
        variables = bodies("variable", inside)
        given = set(re.findall(r"^  (\w+)\s*=", body, re.M)) - {"source"}
        needed = {v for v, b in variables.items() if not re.search(r"^  default\s*=", b, re.M)}
        for missing in sorted(needed - given):
            fault(folder, f"module {name} is not given {missing}")
        for unknown in sorted(given - set(variables)):
            fault(folder, f"module {name} has no variable {unknown}")
        used = set(re.findall(rf"\bmodule\.{name}\.(\w+)", text))
        for output in sorted(names("output", inside) - used):
            fault(root / "modules" / name, f"nobody consumes output {output}")
        for output in sorted(used - names("output", inside)):
            fault(folder, f"module {name} has no output {output}")
    values = (folder / "terraform.tfvars").read_text()
    given = set(re.findall(r"^(\w+)\s*=", values, re.M))
    for name, body in bodies("variable", text).items():
        if name not in given and not re.search(r"^  default\s*=", body, re.M):
            fault(folder, f"terraform.tfvars gives no {name}")
    for name in sorted(given - names("variable", text)):
        fault(folder, f"terraform.tfvars gives {name}, which is no variable")
    if f'environment = "{folder.name}"' not in re.sub(r" +", " ", values):
        fault(folder, "terraform.tfvars is another environment's")
    backend = (folder / "backend.tf").read_text()
    for need in ("encrypt      = true", "kms_key_id", "use_lockfile = true", f"security-hub/{folder.name}/"):
        if need not in backend:
            fault(folder / "backend.tf", f"lacks {need}")


def secrets(root=pathlib.Path("infrastructure")):
    """The names that the cluster's external secrets ask for are the ones that are made here, and the other way round."""
    made = set(re.findall(r'^    "(security-hub/[\w/-]+)"', (root / "terraform/modules/security/secrets.tf").read_text(), re.M))
    asked = set()
    for path in (root / "kubernetes").rglob("*.yaml"):
        asked |= set(re.findall(r"remoteRef: *{key: ([\w/-]+)", path.read_text()))
    for name in sorted(asked - made):
        fault(root, f"the cluster asks for the secret {name}, which nobody makes")
    for name in sorted(made - asked if asked else []):
        fault(root, f"the secret {name} is made, and the cluster asks for it nowhere")


def parsed(path):
    return YAML(typ="safe").load(path)


def overlay_outputs(root):
    outputs = (root / "environments/production/outputs.tf").read_text()
    return re.findall(r"^    (\w+)\s*=", bodies("output", outputs)["overlay"], re.M)


def expected(name, values):
    """What place.yaml must say as far as the environment's variables know it: the whole value, or what is in it."""
    given = dict(re.findall(r'^(\w+)\s*= "(.*)"', values, re.M))
    network = ipaddress.ip_network(given["cidr"])
    hub = f"security-hub-{given['environment']}"
    return {
        "trusted_proxies": [given["cidr"]],
        "protected_addresses": [given["cidr"]],
        "region": [given["region"]],
        # The last quarter but one eighth of the network (modules/networking/main.tf).
        "data_networks": [",".join(str(list(network.subnets(5))[28 + zone]) for zone in range(3))],
        "backup_path": [f"s3://{hub}-backups-", given["account_id"], "/database"],
        "dns_zone_id": [given["dns_zone_id"]],
        "disk_key_arn": [f"arn:aws:kms:{given['region']}:{given['account_id']}:key/"],
        "image_registry": [f"{given['account_id']}.dkr.ecr.{given['region']}.amazonaws.com/{hub}/security-hub"],
        "remote_write_url": [f"https://aps-workspaces.{given['region']}.amazonaws.com/workspaces/", "/api/v1/remote_write"],
    }[name]


def at(value, path):
    """What stands at a field path of Kustomize's: a.b\\.c.0.[key=value].[a.key]"""
    for step in re.findall(r"\[[^]]*\]|(?:\\\.|[^.\[])+", path):
        step = step.replace("\\.", ".")
        if step.startswith("[") and "=" in step:
            key, wanted = step[1:-1].split("=")
            value = next((item for item in value if item.get(key) == wanted), None)
        elif isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = (value or {}).get(step.strip("[]"))
    return value


def destinations(kubernetes):
    """(component, output, index of its part, kind, name, field): the map is the components' own replacements."""
    for component in ("place", "cluster-data", "managed-data"):
        for one in parsed(kubernetes / "components" / component / "kustomization.yaml")["replacements"]:
            source = one["source"]
            part = source.get("options", {}).get("index", 0)
            for target in one["targets"]:
                for field in target["fieldPaths"]:
                    yield component, source["fieldPath"].removeprefix("data."), part, target["select"], field


def rendered(kubernetes, environment, managed):
    """The overlay's objects with a mark in place of each value that comes from Terraform."""
    with tempfile.TemporaryDirectory() as copy:
        tree = pathlib.Path(copy, "kubernetes")
        shutil.copytree(kubernetes, tree, ignore=shutil.ignore_patterns(".*"))
        overlay = tree / "overlays" / environment
        place = overlay / "place.yaml"
        mark = lambda m: f'  {m[1]}: "' + ",".join(f"mark-{m[1]}-{i}" for i in range(m[2].count(",") + 1)) + '"'
        place.write_text(re.sub(r'^  (\w+): "(.*)"', mark, place.read_text(), flags=re.M))
        if managed:
            file = overlay / "kustomization.yaml"
            file.write_text(file.read_text().replace("  - cluster-data\n", "  - ../../components/managed-data\n"))
        said = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False)
        if said.returncode:
            fault(f"{kubernetes}/overlays/{environment}", said.stderr.strip())
            return []
        return [document for document in YAML(typ="safe").load_all(said.stdout) if document]


def arrives(kubernetes, environment, managed, wanted):
    objects = rendered(kubernetes, environment, managed)
    seen = set()
    for component, output, part, select, field in destinations(kubernetes):
        if component == ("cluster-data" if managed else "managed-data"):
            continue
        # A generated name has its content's sum behind it.
        named = re.compile(re.escape(select["name"]) + r"(-[a-z0-9]{10})?")
        found = [o for o in objects if o["kind"] == select["kind"] and named.fullmatch(o["metadata"]["name"])]
        values = [at(one, field) for one in found]
        if output == "remote_write_url":  # in a file of its own: to the place where Prometheus reads it
            values = [[to["url"] for to in parsed(value)["remote_write"]] for value in values]
        if not values or any(f"mark-{output}-{part}" not in str(value) for value in values):
            fault(f"{kubernetes}/overlays/{environment}", f"{output} does not arrive in {select['kind']} {select['name']} {field}")
        seen.add(output)
    # No part of a list is left out.
    told = parsed(kubernetes / "overlays" / environment / "place.yaml")["data"]
    text = str(objects)
    for output in sorted(seen & set(told)):
        if any(f"mark-{output}-{part}" not in text for part in range(told[output].count(",") + 1)):
            fault(f"{kubernetes}/overlays/{environment}", f"a part of {output} arrives nowhere")
    for name in sorted(seen - set(wanted)):
        fault(kubernetes, f"components ask for {name}, which Terraform does not give")
    return seen


def overlays(root, kubernetes):
    wanted = overlay_outputs(root)
    for environment in ENVIRONMENTS:
        folder, overlay = root / "environments" / environment, kubernetes / "overlays" / environment
        values = (folder / "terraform.tfvars").read_text()
        told = parsed(overlay / "place.yaml")["data"]
        if sorted(told) != sorted(wanted):
            fault(overlay / "place.yaml", f"holds {sorted(told)}, and the output `overlay` is {sorted(wanted)}")
            continue
        for name, value in told.items():
            parts = expected(name, values)
            if any(part not in value for part in parts) or (len(parts) == 1 and name in ("region", "trusted_proxies", "dns_zone_id") and value != parts[0]):
                fault(overlay / "place.yaml", f"{name} is {value}, and terraform.tfvars makes it {' … '.join(parts)}")
        written = subprocess.run([kubernetes / "place.sh"], input=json.dumps(told), capture_output=True, text=True, check=True).stdout
        if written != (overlay / "place.yaml").read_text():
            fault(overlay / "place.yaml", "is not what place.sh writes")
        # One hub has one database: the cluster's or the cloud's.
        given = "\n".join([values, *(p.read_text() for p in folder.glob("*.auto.tfvars"))])
        cloud = [bool(re.search(rf"^{what}\s*= {{", given, re.M)) for what in ("postgresql", "redis")]
        used = parsed(overlay / "kustomization.yaml")["components"]
        managed, own = "../../components/managed-data" in used, "cluster-data" in used
        if own == managed or cloud != [managed, managed]:
            fault(overlay, f"cluster-data: {own}, managed-data: {managed}; in the cloud PostgreSQL: {cloud[0]}, Redis: {cloud[1]}")
            continue
        seen = arrives(kubernetes, environment, managed, wanted)
        if (folder / "managed-data.tfvars").exists() and not managed:
            seen |= arrives(kubernetes, environment, True, wanted)
        elif not managed:
            seen |= {"data_networks"}
        for name in sorted(set(wanted) - seen):
            fault(root, f"the output {name} goes nowhere in {environment}")


def sealed(kubernetes):
    """Backups take the bucket's own key (security/backup_bucket.tf): `aws:kms` without a key's name is AWS' key, which their copy's role
    cannot open."""
    path = kubernetes / "deployments/postgresql-cluster.yaml"
    for one in YAML(typ="safe").load_all(path):
        if one["kind"] == "ObjectStore":
            for what in ("wal", "data"):
                if "encryption" in one["spec"]["configuration"][what]:
                    fault(path, f"{what} is not sealed with the bucket's key")


def twins(root, page):
    """Whoever builds a module for another cloud builds it from the README's table: each output that an environment reads is in it,
    and no more; and the environments' own files know no cloud by its forms."""
    rows = re.findall(r"^\| (\w+) \| [^|]* \| ([^|]*) \|$", page.split("## Another cloud beside it")[-1], re.M)
    table = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows if name in MODULES}
    folder = root / "environments/production"
    shared = {name: (folder / name).read_text() for name in ("main.tf", "variables.tf", "outputs.tf")}
    used = re.findall(r"module\.(\w+)\.(\w+)", "\n".join(shared.values()))
    for name in MODULES:
        asked = {output for owner, output in used if owner == name}
        for output in asked ^ table.get(name, set()):
            fault(root / "README.md", f"another cloud's {name}: {output} is " + ("asked for and not in the table" if output in asked else "in the table and asked for by nobody"))
    for name, text in shared.items():
        for form in re.findall(r'"(?:s3://|arn:|\^arn|\^Z\[|\^\[0-9\]\{12\})', text):
            fault(folder / name, f"knows a cloud by its form: {form}")


def main(where, kubernetes="infrastructure/kubernetes"):
    root = pathlib.Path(where)
    for name in MODULES:
        module(root / "modules" / name)
    for name in ENVIRONMENTS:
        module(root / "environments" / name)
        environment(root, root / "environments" / name)
    page = (root / "README.md").read_text() if (root / "README.md").exists() else ""
    outputs = (root / "environments/production/outputs.tf").read_text()
    for name in re.findall(r"^    (\w+)\s*=", outputs, re.M):
        if f"`{name}`" not in page:
            fault(root / "README.md", f"does not say where the output {name} goes")
    twins(root, page)
    cidr = re.compile(r'^cidr\s*= "([\d.]+)\.\d+\.\d+/', re.M)
    networks = [cidr.search((root / f"environments/{e}/terraform.tfvars").read_text())[1] for e in ENVIRONMENTS]
    if len(set(networks)) != len(networks):
        fault(root, "two environments share addresses")
    secrets()
    overlays(root, pathlib.Path(kubernetes))
    sealed(pathlib.Path(kubernetes))
    for line in faults:
        print(line, file=sys.stderr)
    print(f"{len(MODULES)} modules, {len(ENVIRONMENTS)} environments, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
