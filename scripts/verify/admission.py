"""Evaluates the admission policies' expressions (CEL) as the API server would: what is in git and what a deploy does is let through,
what they forbid is refused, each with the policy that is meant.

    admission.py RENDERED_OVERLAY

Needs cel-python, which is not the API server's own CEL: it knows no optional fields (`a.?b`), so their comparison is written out.
"""

import copy
import re
import sys

import celpy
from ruamel.yaml import YAML

DEPLOYER = {"username": "system:serviceaccount:security-hub-deploy:security-hub-deployer", "groups": ["system:authenticated"]}
ROLE = {"username": "deploy-role", "groups": ["system:authenticated", "security-hub-deployers"]}
SOMEBODY = {"username": "ada", "groups": ["system:authenticated"]}
DIGEST = "@sha256:" + "ab" * 32

documents = [d for d in YAML(typ="safe").load_all(open(sys.argv[1])) if d]
faults = []
evaluated = 0


def written_out(expression):
    return re.sub(
        r"([\w.]+)\.\?(\w+) == ([\w.]+)\.\?(\w+)",
        r"(has(\1.\2) ? has(\3.\4) && \1.\2 == \3.\4 : !has(\3.\4))",
        expression,
    )


class Policy:
    def __init__(self, document):
        self.environment = celpy.Environment()
        self.name = document["metadata"]["name"]
        spec = document["spec"]
        self.rules = [rule for rule in spec["matchConstraints"]["resourceRules"]]
        self.conditions = [self.program(c["expression"]) for c in spec.get("matchConditions", [])]
        self.variables = [(v["name"], self.program(v["expression"])) for v in spec.get("variables", [])]
        self.validations = [(v["message"], self.program(v["expression"])) for v in spec["validations"]]

    def program(self, expression):
        return self.environment.program(self.environment.compile(written_out(expression)))

    def refuses(self, resource, operation, new, old, who):
        """The messages of what does not hold; an expression that fails refuses too (failurePolicy)."""
        global evaluated
        if not any(resource in r["resources"] and operation in r["operations"] for r in self.rules):
            return []
        given = {
            "object": celpy.json_to_cel(new),
            "request": celpy.json_to_cel({"operation": operation, "userInfo": who}),
            "variables": celpy.celtypes.MapType(),
        }
        if old is not None:
            given["oldObject"] = celpy.json_to_cel(old)
        if not all(condition.evaluate(given) for condition in self.conditions):
            return []
        for name, program in self.variables:
            # The API server evaluates them when they are asked for.
            try:
                given["variables"][celpy.celtypes.StringType(name)] = program.evaluate(given)
            except celpy.CELEvalError:
                pass
        said = []
        for message, program in self.validations:
            evaluated += 1
            try:
                holds = bool(program.evaluate(given))
            except celpy.CELEvalError:
                holds = False
            if not holds:
                said.append(message)
        return said


policies = {d["metadata"]["name"]: Policy(d) for d in documents if d["kind"] == "ValidatingAdmissionPolicy"}
# The account's own repository, as the place says it.
OURS = re.search(r"'([^']+\.dkr\.ecr\.[^']+)'", str([d for d in documents if d["kind"] == "ValidatingAdmissionPolicy"])).group(1)


def judged(resource, operation, new, old=None, who=SOMEBODY):
    return [name for name, policy in policies.items() if policy.refuses(resource, operation, new, old, who)]


def passes(what, *arguments, **named):
    refused = judged(*arguments, **named)
    if refused:
        faults.append(f"{what}: refused by {refused}")


def refused(by, what, *arguments, **named):
    if by not in judged(*arguments, **named):
        faults.append(f"{what}: {by} lets it through")


def set_at(document, path, value):
    """A copy with something else at the path."""
    document = copy.deepcopy(document)
    at = document
    *parents, last = path
    for key in parents:
        at = at[key]
    at[last] = value
    return document


def called(kind, name):
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)


def template(document):
    spec = document["spec"]
    return (spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec)["template"]


# Every pod of the overlay, and what none may be.
guarded = {d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"}
pods = 0
for document in documents:
    if document["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob") and document["metadata"]["namespace"] in guarded:
        pods += 1
        passes(document["metadata"]["name"], "pods", "CREATE", template(document))
pod = template(called("Deployment", "grafana"))
first = ("spec", "containers", 0)
for image in ("docker.io/grafana/grafana:12.1.1", "docker.io/grafana/grafana:latest" + DIGEST, "grafana@sha256:ab", "grafana"):
    refused("security-hub-images", image, "pods", "CREATE", set_at(pod, (*first, "image"), image))
refused("security-hub-images", "an init container", "pods", "CREATE", set_at(pod, ("spec", "initContainers"), [{"name": "a", "image": "a:1"}]))
refused("security-hub-images", "a debugger", "pods/ephemeralcontainers", "UPDATE", set_at(pod, ("spec", "ephemeralContainers"), [{"image": "a:1"}]))
refused("security-hub-containers", "a root to write to", "pods", "CREATE", set_at(pod, (*first, "securityContext", "readOnlyRootFilesystem"), False))
refused("security-hub-containers", "no security", "pods", "CREATE", set_at(pod, (*first, "securityContext"), {}))
refused("security-hub-containers", "no memory limit", "pods", "CREATE", set_at(pod, (*first, "resources", "limits"), {"cpu": "1"}))

# A deploy: image, scale, the Deployment's own annotation; the migration's template with another image.
by = "security-hub-deployer"
before = called("Deployment", "security-hub-green")
image = ("spec", "template", "spec", "containers", 0, "image")
for repository in (OURS, OURS + ":1.2.3", "ghcr.io/security-hub/security-hub"):
    after = set_at(set_at(before, image, repository + DIGEST), ("spec", "replicas"), 3)
    after["metadata"]["annotations"] = {"hub.security/release": "/releases/1", "hub.security/changed": "runner:/state 2026-01-01T00:00:00.000000Z"}
    for who in (DEPLOYER, ROLE):
        passes(f"a deploy of {repository}", "deployments", "UPDATE", after, before, who)
for wrong in (OURS + ":1", "docker.io/somebody/else" + DIGEST, OURS + "-other" + DIGEST):
    refused(by, wrong, "deployments", "UPDATE", set_at(before, image, wrong), before, DEPLOYER)
changes = {
    "spec": {
        "serviceAccountName": "security-hub-migrate",
        "automountServiceAccountToken": True,
        "volumes": [],
        "securityContext": {},
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "hostUsers": True,
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["security-hub-db-rw"]}],
        "shareProcessNamespace": True,
        "runtimeClassName": "other",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["192.0.2.1"]},
        "imagePullSecrets": [{"name": "a"}],
        "nodeName": "a",
        "priorityClassName": "system-node-critical",
        "resourceClaims": [{"name": "a"}],
        "initContainers": [{"name": "a", "image": OURS + DIGEST}],
    },
    "container": {
        "name": "other",
        "command": ["/usr/local/bin/hubctl"],
        "args": ["migrate"],
        "workingDir": "/tmp",
        "env": [{"name": "HUB_TRUSTED_PROXIES", "value": "0.0.0.0/0"}],
        "envFrom": [],
        "ports": [],
        "volumeMounts": [],
        "volumeDevices": [{"name": "a", "devicePath": "/dev/a"}],
        "securityContext": {"privileged": True},
        "lifecycle": {"postStart": {"exec": {"command": ["a"]}}},
        "startupProbe": {"exec": {"command": ["a"]}},
        "livenessProbe": {"exec": {"command": ["a"]}},
        "readinessProbe": {"exec": {"command": ["a"]}},
        "resources": {},
    },
}
where = {"spec": ("spec", "template", "spec"), "container": ("spec", "template", "spec", "containers", 0)}
for place, fields in changes.items():
    for field, value in fields.items():
        changed = set_at(before, (*where[place], field), value)
        refused(by, f"another {field}", "deployments", "UPDATE", changed, before, DEPLOYER)
        refused(by, f"another {field}, by the role", "deployments", "UPDATE", changed, before, ROLE)
        passes(f"another {field}, by somebody else", "deployments", "UPDATE", changed, before, SOMEBODY)
labels = ("spec", "template", "metadata", "labels", "app.kubernetes.io/name")
refused(by, "another label", "deployments", "UPDATE", set_at(before, labels, "security-hub-migrate"), before, DEPLOYER)
two = set_at(before, ("spec", "template", "spec", "containers"), before["spec"]["template"]["spec"]["containers"] * 2)
refused(by, "a second container", "deployments", "UPDATE", two, before, DEPLOYER)

cronjob = called("CronJob", "security-hub-migrate")
job = {"metadata": {"name": "security-hub-migrate"}, "spec": set_at(cronjob["spec"]["jobTemplate"]["spec"], image[1:], OURS + DIGEST)}
for who in (DEPLOYER, ROLE):
    passes("the migration", "jobs", "CREATE", job, who=who)
refused(by, "another job", "jobs", "CREATE", set_at(job, ("metadata", "name"), "other"), who=DEPLOYER)
refused(by, "a job's label", "jobs", "CREATE", set_at(job, labels, "security-hub"), who=DEPLOYER)
elsewhere = {"volumes": [{"name": "secrets", "secret": {"secretName": "security-hub"}}], "initContainers": changes["spec"]["initContainers"]}
for field in ("serviceAccountName", "automountServiceAccountToken", "hostNetwork", "hostPID", "hostIPC", "hostAliases", "shareProcessNamespace", "nodeName", "imagePullSecrets"):
    elsewhere[field] = changes["spec"][field]
elsewhere["serviceAccountName"] = "security-hub"
for field, value in elsewhere.items():
    refused(by, f"a job's {field}", "jobs", "CREATE", set_at(job, (*where["spec"], field), value), who=DEPLOYER)
inside = {field: changes["container"][field] for field in ("command", "env", "workingDir", "lifecycle", "startupProbe", "livenessProbe", "readinessProbe", "volumeDevices")}
inside |= {"args": ["serve"], "envFrom": [{"configMapRef": {"name": "security-hub"}}], "volumeMounts": [{"name": "tmp", "mountPath": "/usr/local/bin"}]}
inside["image"] = "docker.io/somebody/else" + DIGEST
for field, value in inside.items():
    refused(by, f"a job's {field}", "jobs", "CREATE", set_at(job, (*where["container"], field), value), who=DEPLOYER)

for one in faults:
    print(f"admission: {one}", file=sys.stderr)
if len(policies) < 3 or pods < 8:
    sys.exit("admission: policies or pods are missing")
print(f"admission: {len(policies)} policies, {pods} workloads let through, {evaluated} evaluations")
sys.exit(bool(faults))
