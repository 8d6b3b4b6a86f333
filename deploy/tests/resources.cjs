// resources.cjs FILE...: every custom resource in these files is what its definition says; others are passed over.
const fs = require("fs");
const YAML = require("yaml");

const MODELS = {
  "argoproj.io": "argo-cd",
  "source.toolkit.fluxcd.io": "flux-cd",
  "kustomize.toolkit.fluxcd.io": "flux-cd",
  "gateway.networking.k8s.io": "gateway-api",
};

let seen = 0;
for (const file of process.argv.slice(2)) {
  for (const document of YAML.parseAllDocuments(fs.readFileSync(file, "utf8"))) {
    const it = document.toJS();
    const [group, version] = (it?.apiVersion ?? "").split("/");
    if (!MODELS[group]) continue;
    const Model = require(`@kubernetes-models/${MODELS[group]}/${group}/${version}/${it.kind}`)[it.kind];
    try {
      new Model(it).validate();
    } catch (error) {
      console.error(`${file}: ${it.kind} ${it.metadata.name}: ${error.message}`);
      process.exitCode = 1;
    }
    seen += 1;
  }
}
if (seen < 4) throw new Error(`only ${seen} custom resources in ${process.argv.slice(2)}`);
console.log(`✓ ${seen} custom resources`);
