/** A failure of another system, by what its message says. The first that fits counts. */
type Failures = readonly (readonly [says: RegExp, advice: string])[]

const keyFailures: Failures = [
  [
    /is metadata of issuer|is metadata without/,
    'At the API: write issuer exactly as the metadata of the issuer has it. The last slash counts (RFC 8414 section 3.3).',
  ],
  [/names no jwks_uri/, 'At the issuer: name jwks_uri in the metadata. At the API: or set jwksUri or jwks.'],
  [/jwks_uri that is no https/, 'At the issuer: name an https URL as jwks_uri. At the API: or set jwksUri.'],
  [
    /redirects are not followed/,
    'At the API: set jwksUri to the URL that the issuer redirects to. Redirects are not followed, because they may lead to another server.',
  ],
  [
    /status 40[14]|status 410|status 403/,
    'At the API: correct jwksUri, or the URL of the issuer: there is no key set for this API at that URL. Check egress rules, which may answer in its place.',
  ],
  [
    /status 5\d\d|status 429/,
    'At the issuer: its server fails. The API tries again by itself, and keeps keys that it has. Check egress rules.',
  ],
  [
    /no JSON/,
    'At the API: correct jwksUri: that URL answers with a page, and not with keys. Check egress rules: a proxy may answer in place of the issuer.',
  ],
  [
    /holds no JWK Set/,
    'At the issuer: publish public signing keys (RSA from 2048 bits, EC or Ed25519, use "sig") at that URL. At the API: check jwksUri.',
  ],
  [
    /CERT|SIGNATURE|SELF_SIGNED|ISSUER/,
    'At the API: trust the certificate of the issuer, with NODE_EXTRA_CA_CERTS for one of your own. At the issuer: or renew it.',
  ],
  [
    /no answer|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|UND_ERR|fetch failed/,
    'At the API: let it reach that URL. Check egress rules, DNS and proxy settings. Requests are let in again as soon as the keys are there.',
  ],
]

const storeFailures: Failures = [
  [
    /READONLY/,
    'At the API: connect to the primary of Redis, or promote this server. A read-only replica cannot record a proof.',
  ],
  [
    /\bOOM\b|is full|maxEntries/,
    'At the API: give the store more memory. It forgets no proof that is still accepted.',
  ],
  [/MISCONF/, 'At the API: look at the disk of Redis. It refuses writes until it can save.'],
  [/NOAUTH|WRONGPASS/, 'At the API: correct the user and password of Redis.'],
  [
    /NOPERM/,
    'At the API: let the Redis user run the commands that the message names, on the keys of the prefix.',
  ],
  [/LOADING/, 'At the API: wait until Redis has loaded its data.'],
  [
    /ECONN|ENOTFOUND|ETIMEDOUT|no answer|[Cc]onnection|[Ss]ocket|closed/,
    'At the API: check that Redis runs, and that this process can reach it.',
  ],
  [/must return|returned/, 'At the API: correct the store: it does not answer as its interface says.'],
]

function find(failures: Failures, reason: string): string | undefined {
  return failures.find(([says]) => says.test(reason))?.[1]
}

/** What to change where the keys of an issuer cannot be had. */
export const adviceOfKeys = (reason: string) => find(keyFailures, reason)

/** What to change where a store does not answer. */
export const adviceOfStore = (reason: string) => find(storeFailures, reason)
