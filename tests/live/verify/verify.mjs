// Reads a JSON list of cases from standard input and prints a list of answers: "" or what is wrong.
// A case: {root, bundle, artifact (base64, for message signatures), key (PEM), identity, issuer}.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

function verify({ root, bundle, artifact, key, identity, issuer }) {
  const publicKey = key && {
    rawBytes: createPublicKey(key).export({ type: "spki", format: "der" }),
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
  };
  const find = () => ({ publicKey: createPublicKey(key), validFor: () => true });
  const material = toTrustMaterial(TrustedRoot.fromJSON(root), publicKey ? find : undefined);
  const options = key ? { ctlogThreshold: 0, timestampThreshold: 0 } : {};
  const data = artifact === undefined ? undefined : Buffer.from(artifact, "base64");
  const entity = toSignedEntity(bundleFromJSON(bundle), data);
  const policy = key ? undefined : { subjectAlternativeName: identity, extensions: { issuer } };
  new Verifier(material, options).verify(entity, policy);
}

const answers = JSON.parse(readFileSync(0, "utf8")).map((given) => {
  try {
    verify(given);
    return "";
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
});
console.log(JSON.stringify(answers));
