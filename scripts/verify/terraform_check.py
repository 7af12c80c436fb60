"""Checks of Terraform's folder that Terraform does not make: what stands there is used, and what is used is narrow.

    terraform_check.py TERRAFORM_FOLDER
"""

import pathlib
import re
import sys

SHARED = ["main.tf", "variables.tf", "outputs.tf", "versions.tf"]
ENVIRONMENTS = ["production", "staging", "development"]
MODULES = ["networking", "kubernetes", "databases", "security", "monitoring"]
# Whatever is forced by AWS or only refuses says so in a comment above its statement.
WILDCARD = re.compile(r'^\s*(Action|Resource|NotAction|NotResource|resources)\s*=\s*\[?\s*"(?:[a-z0-9-]+:)?\*"|"[a-z0-9-]+:\*"')

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


def main(where):
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
    cidr = re.compile(r'^cidr\s*= "([\d.]+)\.\d+\.\d+/', re.M)
    networks = [cidr.search((root / f"environments/{e}/terraform.tfvars").read_text())[1] for e in ENVIRONMENTS]
    if len(set(networks)) != len(networks):
        fault(root, "two environments share addresses")
    secrets()
    for line in faults:
        print(line, file=sys.stderr)
    print(f"{len(MODULES)} modules, {len(ENVIRONMENTS)} environments, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
