import { shapes } from '../../fixtures/issuers/index.js'
import { PRESENTED_AT, type Shape } from '../../fixtures/issuers/shape.js'
import {
  createKit,
  generateKey,
  type Jwk,
  jws,
  type Kit,
  published,
  type TestKey,
} from '../../fixtures/kit.js'
import { createVerifier, type Decision, type IssuerPolicy, type Policy } from '../../src/index.js'
import type { KnownServerName } from '../../src/policy/known-servers.js'

const API = 'https://orders.example.com'

/** Made once for each algorithm: RSA keys are slow to make. */
const made = new Map<string, { mine: TestKey; other: TestKey; encryption: TestKey; holder: TestKey }>()

function keysOf(alg: string) {
  const asymmetric = alg.startsWith('HS') ? 'RS256' : alg
  const kept = made.get(asymmetric)
  if (kept !== undefined) return kept
  const keys = {
    mine: generateKey(asymmetric),
    other: generateKey(asymmetric, 'the-next-key'),
    encryption: generateKey('RS256', 'for-encryption'),
    holder: generateKey('ES256'),
  }
  made.set(asymmetric, keys)
  return keys
}

/** A token of the shape: its header and claims as they are, signed with a fresh key of its algorithm. */
export function mint({ header, claims }: Pick<Shape, 'header' | 'claims'>): string {
  const { mine, holder } = keysOf(header.alg)
  const cnf = JSON.stringify(claims.cnf)
    ?.replace('$JKT', holder.thumbprint)
    .replace('"$JWK"', JSON.stringify(holder.jwk))
  const bound = cnf === undefined ? claims : { ...claims, cnf: JSON.parse(cnf) as unknown }
  if (!header.alg.startsWith('HS')) return jws(header, bound, mine)
  return jws(
    header,
    bound,
    { ...mine, privateKey: Buffer.from('a secret that the server shares') as never },
    { signAs: header.alg },
  )
}

/** The server's key set and metadata, as its documentation shows them; 404 for everything else. */
export function serverOf(shape: Shape): typeof fetch {
  // As a URL: some issuers write the default port.
  const address = (url: string) => new URL(url).href
  const documents = new Map<string, unknown>([[address(shape.jwksUri), keySet(shape)]])
  const issuer = shape.issuer.url ?? shape.issuer.name
  for (const url of shape.discovery)
    documents.set(address(url), { issuer, jwks_uri: shape.advertised ?? shape.jwksUri })
  return async (input) => {
    const found = documents.get(address(String(input)))
    return found === undefined ? new Response('not found', { status: 404 }) : Response.json(found)
  }
}

function keySet({ header, keySet: traits }: Shape): object {
  const { mine, other, encryption } = keysOf(header.alg)
  const has = (trait: (typeof traits)[number]) => traits.includes(trait)
  const more: Jwk = {
    ...(has('alg') ? {} : { alg: undefined }),
    ...(has('use') ? {} : { use: undefined }),
    ...(has('x5c') ? { x5c: ['MIIC2DCCAcCgAwIBAgIBADANBgkqhkiG9w0BAQsFADA'], x5t: 'c2hhLTE' } : {}),
    ...(has('issuer') ? { issuer: 'https://login.example.com/{tenantid}/v2.0' } : {}),
  }
  const keys = [published({ ...mine, kid: header.kid }, more)]
  if (has('two')) keys.unshift(published(other, more))
  if (has('enc')) keys.unshift(published(encryption, { ...more, alg: 'RSA-OAEP', use: 'enc' }))
  return has('cert') ? { keys, public_cert: { kid: header.kid, cert: 'PEM' }, public_certs: [] } : { keys }
}

/** The policy of an API that takes the shape's tokens, with this entry for its issuer. */
export function policyFor(shape: Shape, issuer: IssuerPolicy): Policy {
  return {
    issuer,
    audience: shape.audience,
    publicUrl: API,
    ...(shape.allowInsecureHttp ? { allowInsecureHttp: true } : {}),
    proof: shape.bound || shape.issuer.profile === 'ajwt' ? {} : { required: false },
    routes: { 'GET /orders/:id': shape.rule },
  }
}

/** The entry with the name of the server in place of what the table of known servers says. */
export function likeEntry(shape: Shape): IssuerPolicy {
  const { url, name, jwksUri } = shape.issuer
  return JSON.parse(JSON.stringify({ like: shape.like, url, name, jwksUri, ...shape.beside }))
}

/**
 * A token that an API accepts under the name of the server: of those servers whose only shapes lack an
 * audience or a subject, the token once that has been added.
 */
export function honestShape(name: KnownServerName): Shape {
  const ofServer = shapes.filter(({ like }) => like === name)
  const shape = ofServer.find(({ expect }) => expect === 'allow') ?? ofServer[0]
  if (shape === undefined) throw new Error(`no shape of ${name}`)
  const claims = { ...shape.claims, sub: shape.claims.sub || 'ada', aud: shape.claims.aud ?? shape.audience }
  return shape.expect === 'allow' ? shape : { ...shape, claims, expect: 'allow' }
}

/** The decision of a verifier of this policy for a request with the token, at the time of the shapes. */
export async function present(shape: Shape, policy: Policy, token = mint(shape)): Promise<Decision> {
  const kit: Kit = createKit(PRESENTED_AT * 1000)
  const verifier = createVerifier(policy, { now: () => kit.now, fetch: serverOf(shape) })
  const field =
    typeof policy.issuer === 'object' && 'header' in policy.issuer ? policy.issuer.header : undefined
  const headers = new Headers(
    field === undefined
      ? { authorization: `${shape.bound ? 'DPoP' : 'Bearer'} ${token}` }
      : { [field]: token },
  )
  if (shape.bound)
    headers.set('dpop', kit.proof({ key: keysOf(shape.header.alg).holder, token, htu: `${API}/orders/17` }))
  try {
    return await verifier.verify({ method: 'GET', url: '/orders/17', headers })
  } finally {
    verifier.close()
  }
}
