/**
 * Advice for a failed fetch of issuer keys, by the text of the failure. The first that matches applies.
 */
const failures: readonly (readonly [says: RegExp, advice: string])[] = [
  [
    /is metadata/,
    'At the API: write issuer exactly as the metadata of the issuer has it. The last slash counts (RFC 8414 section 3.3).',
  ],
  [
    /jwks_uri/,
    'At the issuer: name jwks_uri in the metadata, an https URL. At the API: or set jwksUri or jwks.',
  ],
  [
    /redirects/,
    'At the API: set jwksUri to the URL that the issuer redirects to: redirects are not followed.',
  ],
  [
    /status 4(?!29)|no JSON/,
    'At the API: correct jwksUri, or the URL of the issuer: that URL answers with a page, and not with keys. Check egress rules: a proxy may answer in its place.',
  ],
  [
    /status/,
    'At the issuer: its server fails. The API keeps the keys that it has, and tries again by itself.',
  ],
  [
    /holds no/,
    'At the issuer: publish public signing keys (EC, Ed25519, or RSA from 2048 bits) at that URL. At the API: check jwksUri.',
  ],
  [
    /CERT|SIGNATURE/,
    'At the API: trust the certificate of the issuer, with NODE_EXTRA_CA_CERTS for one of your own. At the issuer: or renew it.',
  ],
  [
    /no answer|fetch failed|E[A-Z]{4,}/,
    'At the API: let it reach that URL. Check egress rules, DNS and proxy settings.',
  ],
]

export function adviceOfKeys(reason: string): string | undefined {
  return failures.find(([says]) => says.test(reason))?.[1]
}
