"""What lies under deploy/ is what the tools it is made for accept, and its files agree with one another.

`deploy.py ROOT` checks the repository; `deploy.py ROOT broken` breaks one place after the other in a copy of it, and
expects each to be found.
"""

import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import check_jsonschema.builtin_schemas
import jsonschema
import kubernetes_validate
from ruamel.yaml import YAML

from common import Wrong, expect, expect_equal

SETTINGS = "/etc/ghostlight/ghostlight.toml"
MEMORY_MAX = 256 << 20


# Reading


def yaml(path):
    """The documents of a file. A key given twice is an error."""
    return list(YAML(typ="safe").load_all(path.read_text()))


def toml(path):
    return tomllib.loads(path.read_text())


def version(root):
    return toml(root / "Cargo.toml")["package"]["version"]


def stop_seconds(root):
    """The longest that a stop takes: requests under way, then the gateway's last records, then the last commits."""
    source = "".join(path.read_text() for path in (root / "src/run").rglob("*.rs"))
    names = ["STOP_PATIENCE", "GATEWAY_PATIENCE", "HANDOVER"]
    found = [re.search(rf"const {name}: Duration = Duration::from_secs\((\d+)\)", source) for name in names]
    expect(all(found), f"src/run has no longer all of {names}: say here how long a stop takes")
    return sum(int(match[1]) for match in found)


def expect_patience(root, found, what):
    longest = stop_seconds(root)
    expect(longest < int(found) <= 2 * longest, f"{what}: {found} s, for a stop that takes {longest} s at most")


def bytes_of(size):
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]*)", size).groups()
    return int(number) << {"": 0, "k": 10, "m": 20, "g": 30, "Ki": 10, "Mi": 20, "Gi": 30}[unit]


def variables(settings):
    """The environment variables that settings name."""
    if isinstance(settings, dict):
        named = {settings["env"]} if set(settings) == {"env"} else set()
        return named.union(*(variables(value) for value in settings.values()))
    return set()


def port_of(settings):
    host, port = settings["http"]["listen"].rsplit(":", 1)
    expect_equal(host, "0.0.0.0", "the address in a container")
    return int(port)


# The image


def instructions(path):
    """Name and text of each instruction of a Dockerfile."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def image_of(root):
    path = root / "deploy/Dockerfile"
    stages, final = [], {}
    sent = (root / ".dockerignore").read_text().split("\n")
    sent = [line for line in sent if line and not line.startswith("#")]
    expect(sent[0] == "*", ".dockerignore lets more through than it names")
    for name, text in instructions(path):
        if name == "FROM":
            image, *alias = text.split()
            expect(re.search(r"[^/]:[^/:]+$|@sha256:", image), f"{image} has no tag")
            expect(not image.endswith(":latest"), f"{image} is another image every day")
            stages.append({"image": image, "name": alias[1] if alias else None})
            final = {}
        elif name == "COPY":
            words = text.split()
            origins = [word.removeprefix("--from=") for word in words if word.startswith("--from=")]
            *sources, target = [word for word in words if not word.startswith("--")]
            final.setdefault("copied", []).append(target)
            if origins:
                earlier = [stage["name"] for stage in stages[:-1]]
                expect(origins[0] in earlier, f"COPY from {origins[0]}, which is no earlier stage")
                made = " ".join(text for name, text in instructions(path) if name == "RUN")
                expect(all(source in made for source in sources), f"COPY of {sources}, which no RUN makes")
            else:
                for source in sources:
                    expect((root / source).exists(), f"COPY of {source}, which is not there")
                    expect(f"!{source}" in sent, f"COPY of {source}, which .dockerignore keeps back")
        else:
            final[name] = text
    releases = {"bookworm": "debian12", "trixie": "debian13"}
    built, run = stages[0]["image"], stages[-1]["image"]
    expect(releases[built.rsplit("-", 1)[1]] in run, f"built on {built}, run on {run}: another glibc")
    needed = toml(root / "Cargo.toml")["package"]["rust-version"]
    number = lambda text: [int(part) for part in re.search(r"\d+(\.\d+)+", text)[0].split(".")]
    expect(number(built) >= number(needed), f"{built} is older than Rust {needed}")
    user = final.get("USER", "0")
    expect(re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user), f"USER {user}: not the number of somebody other than root")
    program = final["ENTRYPOINT"].strip('[]"')
    expect(program in final["copied"], f"ENTRYPOINT {program} was not copied")
    expect(final["WORKDIR"] in final["copied"], f"{final['WORKDIR']} does not belong to the user")
    expect(SETTINGS in final["CMD"], f"CMD {final['CMD']} reads other settings than {SETTINGS}")
    return {"user": int(user.split(":")[0]), "port": int(final["EXPOSE"]), "data": final["WORKDIR"], "base": run}


def check_dockerfile(root):
    return "Dockerfile: {base}, user {user}, port {port}".format(**image_of(root))


# Compose


def check_compose(root):
    folder = root / "deploy"
    image = image_of(root)
    [file] = yaml(folder / "compose.yaml")
    schema = check_jsonschema.builtin_schemas.get_builtin_schema("vendor.compose-spec")
    errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(file)
    error = jsonschema.exceptions.best_match(errors)
    expect(error is None, f"compose.yaml: {error and error.json_path}: {error and error.message}")
    services = file["services"]
    for name, service in services.items():
        expect(re.search(r":\d+\.\d+\.\d+$", service["image"]), f"{name}: the version of {service['image']} is open")
        for needed in service.get("depends_on", {}):
            expect(needed in services, f"{name} waits for {needed}, which is no service")
            wants_health = service["depends_on"][needed]["condition"] == "service_healthy"
            expect(not wants_health or "healthcheck" in services[needed], f"{needed} has no health to wait for")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (folder / source).is_file() if source.startswith(".") else source in file["volumes"]
            expect(there, f"{name} mounts {source}, which is not there")

    made = next(service["command"] for service in services.values() if "--create" in service.get("command", []))
    options = dict(option.removeprefix("--").split("=", 1) for option in made if "=" in option)
    brokers = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    expect_equal(options["bootstrap-server"], brokers, "where the topic is made")

    workers = {}
    ours = {name: service for name, service in services.items() if service["image"].startswith("ghostlight:")}
    for name, service in ours.items():
        expect_equal(service["image"], f"ghostlight:{version(root)}", f"{name}: image")
        context = (folder / service["build"]["context"]).resolve()
        expect_equal(context, root.resolve(), f"{name}: what the image is built from")
        expect((context / service["build"]["dockerfile"]).is_file(), f"{name}: no Dockerfile")
        expect(service["read_only"] and service["cap_drop"] == ["ALL"], f"{name} may do more than it needs")
        expect(bytes_of(service["mem_limit"]) <= MEMORY_MAX, f"{name}: memory {service['mem_limit']}")
        expect_patience(root, service["stop_grace_period"].removesuffix("s"), f"{name}: stop_grace_period")
        mounts = {target: source for source, target, *_ in (volume.split(":") for volume in service["volumes"])}
        expect(SETTINGS in mounts, f"{name} has no settings at {SETTINGS}")
        settings = toml(folder / mounts[SETTINGS])
        expect_equal(settings["kafka"]["bootstrap_servers"], [brokers], f"{name}: brokers")
        expect_equal(port_of(settings), image["port"], f"{name}: port")
        published = service["ports"][0].split(":")
        expect_equal(int(published[-1]), image["port"], f"{name}: the port that is published")
        expect_equal(published[0], "127.0.0.1", f"{name}: where the port is published")
        given = service.get("environment", {})
        for variable in variables(settings):
            if variable == "HOSTNAME":
                expect("hostname" in service, f"{name}: a new container has another HOSTNAME")
            else:
                required = given.get(variable, "").startswith(f"${{{variable}:?")
                expect(required, f"{name}: {variable} must be given from outside")
        if "source" in settings:
            expect(image["data"] in mounts, f"{name}: {image['data']} cannot be written")
            source = settings["source"]["kafka"]
            expect_equal(source["topics"], [options["topic"]], f"{name}: topics")
            expect(settings["out"].startswith(image["data"]), f"{name}: the output is in the container")
            workers[service["hostname"]] = (source["group"], mounts[image["data"]])
        else:
            expect_equal(settings["webhook"]["topic"], options["topic"], f"{name}: topic")
    expect(len(workers) == 2 and len(set(workers.values())) == 1, f"the workers share no work: {workers}")
    ports = [service["ports"][0] for service in ours.values()]
    expect(len(set(ports)) == len(ports), f"a port is published twice: {ports}")
    return f"compose: {len(services)} services, topic {options['topic']} of {options['partitions']} partitions"


# systemd


def check_unit(root):
    lines = (root / "deploy/ghostlight.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    expect(unit["ExecStart"].endswith(f"ghostlight run --config {SETTINGS}"), f"ExecStart={unit['ExecStart']}")
    expect_patience(root, unit["TimeoutStopSec"], "TimeoutStopSec")
    text = (root / "deploy/README.md").read_text()
    loaded = [line.split("=", 1)[1] for line in lines if line.startswith("LoadCredential=")]
    named = set(re.findall(r"/run/credentials/ghostlight\.service/([\w.-]+)", text + "\n".join(lines)))
    named |= set(re.findall(r"/etc/credstore/([\w.-]+)", text))
    expect(named and named <= set(loaded), f"credentials that are told of, {named}, are not all loaded: {loaded}")
    links = re.findall(r"\]\(([^)]+)\)", text)
    expect(links and all((root / "deploy" / link).exists() for link in links), f"README.md names what is not: {links}")
    return f"unit: {len(loaded)} credentials; README.md: {len(links)} links"


# Kubernetes


def check_kubernetes(root):
    folder = root / "deploy/kubernetes"
    image = image_of(root)
    [kustomization] = yaml(folder / "kustomization.yaml")
    apart = {"kustomization.yaml", "secret.example.yaml"}
    there = {path.name for path in folder.glob("*.yaml")}
    expect_equal(set(kustomization["resources"]), there - apart, "resources of the kustomization")
    expect_equal(kustomization["images"][0]["name"], "ghostlight", "the image's name")
    expect_equal(str(kustomization["images"][0]["newTag"]), version(root), "the image's version")

    objects = {}
    for name in sorted(there - {"kustomization.yaml"}):
        for found in yaml(folder / name):
            try:
                kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                raise Wrong(f"{name}: {error.json_path}: {error.message}") from None
            expect(found["kind"] not in objects, f"{name}: a second {found['kind']}")
            objects[found["kind"]] = found
    stateful, service, secret = (objects[kind]["spec"] if kind != "Secret" else objects[kind]
                                 for kind in ["StatefulSet", "Service", "Secret"])
    pod = stateful["template"]["spec"]
    [container] = pod["containers"]

    labels = stateful["template"]["metadata"]["labels"]
    selectors = [stateful["selector"]["matchLabels"], service["selector"]]
    selectors.append(objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod["topologySpreadConstraints"]]
    expect(all(selector.items() <= labels.items() for selector in selectors), f"{selectors} do not all fit {labels}")
    expect_equal(stateful["serviceName"], objects["Service"]["metadata"]["name"], "serviceName")
    expect_equal(pod["serviceAccountName"], objects["ServiceAccount"]["metadata"]["name"], "serviceAccountName")
    expect(service["clusterIP"] == "None", "the StatefulSet's service balances")

    [generator] = kustomization["configMapGenerator"]
    files = dict(file.split("=") for file in generator["files"])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    expect_equal(set(mounts), set(volumes), "volumes and what is mounted")
    [settings_volume] = [name for name, volume in volumes.items() if "configMap" in volume]
    expect_equal(volumes[settings_volume]["configMap"]["name"], generator["name"], "the settings' ConfigMap")
    expect_equal({f"{mounts[settings_volume]}/{file}" for file in files}, {SETTINGS}, "where the settings are")
    settings = toml(folder / files["ghostlight.toml"])
    source = settings["source"]["kafka"]
    expect(settings["out"].startswith("s3://"), "pods share no folder")

    expect_equal(container["envFrom"], [{"secretRef": {"name": secret["metadata"]["name"]}}], "the secret's name")
    expect({*secret["stringData"].values()} <= {"change-me", settings["kafka"]["sasl"]["username"]}, "a real secret?")
    given = {variable["name"] for variable in container["env"]} | set(secret["stringData"])
    needed = variables(settings) | {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    expect(needed <= given, f"variables that nobody sets: {needed - given}")
    instance = next(variable for variable in container["env"] if variable["name"] == source["instance"]["env"])
    expect_equal(instance["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name", "the worker's name")

    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expect_equal(ports, {"http": port_of(settings)}, "the container's ports")
    expect_equal(ports["http"], image["port"], "the image's port")
    expect_equal(service["ports"][0]["targetPort"], "http", "the service's port")
    scraped = stateful["template"]["metadata"]["annotations"]
    expect_equal(scraped["prometheus.io/port"], str(ports["http"]), "the port that is scraped")
    for probe, path in {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}.items():
        expect_equal(container[probe]["httpGet"], {"path": path, "port": "http"}, probe)
    routes = (root / "src/live/mod.rs").read_text()
    for path in ["/healthz", "/readyz", scraped["prometheus.io/path"]]:
        expect(f'.route("{path}"' in routes, f"ghostlight does not answer {path}")

    expect_patience(root, pod["terminationGracePeriodSeconds"], "terminationGracePeriodSeconds")
    session = int(source["session_timeout"].removesuffix("s"))
    expect(session > stop_seconds(root), f"a pod is out of the group before it has stopped: {session} s")
    user, rights = pod["securityContext"], container["securityContext"]
    expect(user["runAsNonRoot"] and user["runAsUser"] == image["user"], "the pod runs as another user than the image")
    expect(user["seccompProfile"] == {"type": "RuntimeDefault"}, "any system call is allowed")
    least = rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    expect(least and rights["capabilities"] == {"drop": ["ALL"]}, "the container may do more than it needs")
    for account in [pod, objects["ServiceAccount"]]:
        expect(account["automountServiceAccountToken"] is False, "the pod gets a token of the cluster's")
    memory = {container["resources"][kind]["memory"] for kind in ["requests", "limits"]}
    expect(len(memory) == 1 and bytes_of(memory.pop()) <= MEMORY_MAX, "memory that is not there, or too much")
    check_keda(folder / "keda", settings, objects)
    return f"kubernetes: {', '.join(objects)}, ScaledObject, TriggerAuthentication"


# What KEDA's own definitions of these ask for and allow, as far as we use it.
SCALED_OBJECT = {
    "scaleTargetRef", "pollingInterval", "cooldownPeriod", "minReplicaCount", "maxReplicaCount", "advanced", "triggers",
}
KAFKA_TRIGGER = {
    "bootstrapServers", "consumerGroup", "topic", "lagThreshold", "activationLagThreshold", "offsetResetPolicy",
    "allowIdleConsumers", "excludePersistentLag", "version", "tls", "sasl",
}
KAFKA_MECHANISMS = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}


def check_keda(folder, settings, objects):
    [component] = yaml(folder / "kustomization.yaml")
    expect_equal(component["kind"], "Component", "the kind of the kustomization for KEDA")
    expect_equal(component["resources"], ["scaledobject.yaml"], "its resources")
    [patch] = component["patches"]
    stateful = objects["StatefulSet"]
    name = stateful["metadata"]["name"]
    expect_equal(patch["target"], {"kind": "StatefulSet", "name": name}, "what is patched")
    expect_equal(YAML(typ="safe").load(patch["patch"]), [{"op": "remove", "path": "/spec/replicas"}], "the patch")

    scaled, authentication = yaml(folder / "scaledobject.yaml")
    for found, kind in [(scaled, "ScaledObject"), (authentication, "TriggerAuthentication")]:
        expect_equal((found["apiVersion"], found["kind"]), ("keda.sh/v1alpha1", kind), "KEDA's object")
    spec = scaled["spec"]
    expect(set(spec) <= SCALED_OBJECT, f"a ScaledObject has no {set(spec) - SCALED_OBJECT}")
    target = {"apiVersion": stateful["apiVersion"], "kind": stateful["kind"], "name": name}
    expect_equal(spec["scaleTargetRef"], target, "what is scaled")
    expect(1 <= spec["minReplicaCount"] <= stateful["spec"]["replicas"] <= spec["maxReplicaCount"], "how many workers")
    [trigger] = spec["triggers"]
    expect_equal(set(trigger), {"type", "metadata", "authenticationRef"}, "the trigger's keys")
    expect_equal(trigger["type"], "kafka", "the trigger's type")
    metadata, source = trigger["metadata"], settings["source"]["kafka"]
    expect(set(metadata) <= KAFKA_TRIGGER, f"a kafka trigger has no {set(metadata) - KAFKA_TRIGGER}")
    expect(all(isinstance(value, str) for value in metadata.values()), f"a trigger's values are texts: {metadata}")
    expect_equal([metadata["topic"]], source["topics"], "the trigger's topic")
    expect_equal(metadata["consumerGroup"], source["group"], "the trigger's group")
    expect_equal(metadata["bootstrapServers"].split(","), settings["kafka"]["bootstrap_servers"], "its brokers")
    expect_equal(metadata["offsetResetPolicy"], source.get("start", "earliest"), "its offsetResetPolicy")
    expect_equal(metadata["sasl"], KAFKA_MECHANISMS[settings["kafka"]["sasl"]["mechanism"]], "its mechanism")
    expect_equal(metadata["tls"], "enable" if "tls" in settings["kafka"] else "disable", "its TLS")
    expect(int(metadata["lagThreshold"]) > 0, "the trigger's threshold")

    expect_equal(trigger["authenticationRef"]["name"], authentication["metadata"]["name"], "who KEDA is")
    secret = objects["Secret"]
    asked = authentication["spec"]["secretTargetRef"]
    expect_equal({key["parameter"] for key in asked}, {"username", "password"}, "what KEDA knows of the user")
    for key in asked:
        expect_equal(key["name"], secret["metadata"]["name"], "KEDA's secret")
        expect(key["key"] in secret["stringData"], f"the secret has no {key['key']}")


CHECKS = [check_dockerfile, check_compose, check_unit, check_kubernetes]

# Where (under deploy/), what, what instead, and a word of what must be said about it.
BROKEN = """
Dockerfile | rust:1.95-slim-bookworm | rust:latest | another image every day
Dockerfile | rust:1.95-slim-bookworm | rust | has no tag
Dockerfile | rust:1.95-slim-bookworm | rust:1.80-slim-bookworm | older than Rust
Dockerfile | rust:1.95-slim-bookworm | rust:1.95-slim-trixie | another glibc
Dockerfile | USER 65532:65532 | USER root | other than root
Dockerfile | USER 65532:65532 | | other than root
Dockerfile | --from=build /image/ghostlight | --from=builder /image/ghostlight | no earlier stage
Dockerfile | COPY src src | COPY sources sources | not there
Dockerfile | COPY src src | COPY deploy deploy | keeps back
Dockerfile | COPY --from=build --chown=65532:65532 /image/data | COPY --from=build /image/date | no RUN makes
compose.yaml | restart: unless-stopped | restarts: unless-stopped | restarts
compose.yaml | mem_limit: 256m | mem_limit: 2g | memory
compose.yaml | stop_grace_period: 60s | stop_grace_period: 15s | stop_grace_period
compose.yaml | read_only: true | read_only: false | may do more
compose.yaml | --topic=auth0-logs | --topic=auth0-events | topic
compose.yaml | hostname: worker-2 | hostname: worker-1 | share no work
compose.yaml | - output:/var/lib/ghostlight | - outputs:/var/lib/ghostlight | is not there
compose.yaml | {GHOSTLIGHT_WEBHOOK_TOKEN:? | {GHOSTLIGHT_WEBHOOK_TOKEN:- | given from outside
compose.yaml | - output:/var/lib/ghostlight | - output:/var/lib/ghost | cannot be written
compose.yaml | apache/kafka:4.1.0 | apache/kafka:latest | is open
compose.yaml | healthcheck: | x-healthcheck: | no health
compose/worker.toml | kafka:9092 | kafka:9093 | brokers
compose/gateway.toml | :7070 | :7071 | port
ghostlight.service | TimeoutStopSec=60 | TimeoutStopSec=10 | TimeoutStopSec
ghostlight.service | LoadCredential=ghostlight.webhook-token | | not all loaded
kubernetes/statefulset.yaml | replicas: 3 | replica: 3 | replica
kubernetes/statefulset.yaml | serviceName: ghostlight | serviceName: workers | serviceName
kubernetes/statefulset.yaml | name: ghostlight-worker} | name: worker} | ConfigMap
kubernetes/statefulset.yaml | {name: settings, mountPath | {name: setting, mountPath | mounted
kubernetes/statefulset.yaml | terminationGracePeriodSeconds: 60 | terminationGracePeriodSeconds: 30 | terminationGrace
kubernetes/statefulset.yaml | path: /readyz | path: /ready | readinessProbe
kubernetes/statefulset.yaml | runAsUser: 65532 | runAsUser: 1000 | another user
kubernetes/statefulset.yaml | secretRef: {name: ghostlight} | secretRef: {name: secrets} | secret's name
kubernetes/poddisruptionbudget.yaml | matchLabels: {app.kubernetes.io/name: | matchLabels: {name: | do not all fit
kubernetes/service.yaml | targetPort: http | targetPort: https | port
kubernetes/kustomization.yaml | - service.yaml | - services.yaml | resources
kubernetes/kustomization.yaml | newTag: 0.1.0 | newTag: 0.0.1 | version
kubernetes/secret.example.yaml | change-me | c2VjcmV0 | real secret
kubernetes/worker.toml | POD_NAME | HOSTNAME | nobody sets
kubernetes/worker.toml | auth0-logs | auth0-events | topic
kubernetes/worker.toml | session_timeout = "90s" | session_timeout = "30s" | before it has stopped
kubernetes/keda/scaledobject.yaml | consumerGroup: ghostlight | consumerGroup: workers | group
kubernetes/keda/scaledobject.yaml | kind: StatefulSet | kind: Deployment | what is scaled
kubernetes/keda/scaledobject.yaml | lagThreshold: "100000" | lagThreshold: 100000 | are texts
kubernetes/keda/scaledobject.yaml | lagThreshold | lagTreshold | has no
kubernetes/keda/scaledobject.yaml | key: GHOSTLIGHT_KAFKA_USERNAME | key: USERNAME | the secret has no
README.md | (compose.yaml) | (docker-compose.yml) | names what is not
"""


def check_broken(root):
    rows = [[cell.strip() for cell in line.split("|")] for line in BROKEN.strip().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ["deploy", "src", "benches"]:
            shutil.copytree(root / name, copy / name)
        for name in ["Cargo.toml", "Cargo.lock", ".dockerignore"]:
            shutil.copy(root / name, copy / name)
        for name, what, instead, said in rows:
            path = copy / "deploy" / name
            text = path.read_text()
            expect(what in text, f"{name} has no {what!r} to break")
            path.write_text(text.replace(what, instead, 1))
            try:
                for check in CHECKS:
                    check(copy)
            except Wrong as wrong:
                expect(said in str(wrong), f"{name} with {instead!r} for {what!r} was found, but said was: {wrong}")
            else:
                raise Wrong(f"{name} with {instead!r} for {what!r} was not found")
            path.write_text(text)
    return f"broken: {len(rows)} found"


def main():
    root, *what = sys.argv[1:]
    checks = [check_broken] if what == ["broken"] else CHECKS
    try:
        for check in checks:
            print(check(Path(root)))
    except Wrong as wrong:
        sys.exit(f"deploy.py: {wrong}")


if __name__ == "__main__":
    main()
