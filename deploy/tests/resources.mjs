// resources.mjs MODULES FILE...: every custom resource in these files is what its definition says, by the models in the folder
// MODULES. Kubernetes' own are passed over; those of others that no model is known for are an error.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2).map((name) => path.resolve(name));
const load = (...at) => import(pathToFileURL(path.join(modules, ...at)));
const { default: YAML } = await load("yaml", "dist", "index.js");

const MODELS = {
  "argoproj.io": "argo-cd",
  "source.toolkit.fluxcd.io": "flux-cd",
  "kustomize.toolkit.fluxcd.io": "flux-cd",
  "helm.toolkit.fluxcd.io": "flux-cd",
  "gateway.networking.k8s.io": "gateway-api",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
  "monitoring.coreos.com": "prometheus-operator",
};

let seen = 0;
for (const file of files) {
  for (const document of YAML.parseAllDocuments(fs.readFileSync(file, "utf8"))) {
    const it = document.toJS();
    const [group, version] = (it?.apiVersion ?? "").split("/");
    if (!MODELS[group] && (!group.includes(".") || group.endsWith(".k8s.io"))) continue;
    if (!MODELS[group]) throw new Error(`${file}: there is no model of ${group}`);
    const { [it.kind]: Model } = await load("@kubernetes-models", MODELS[group], group, version, `${it.kind}.js`);
    try {
      new Model(it).validate();
    } catch (error) {
      console.error(`${file}: ${it.kind} ${it.metadata.name}: ${error.message}`);
      process.exitCode = 1;
    }
    seen += 1;
  }
}
if (seen < 4) throw new Error(`only ${seen} custom resources in ${files}`);
console.log(`✓ ${seen} custom resources`);
