import { createPrivateKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { quote } from 'shlex'
import { type CompiledPolicy, compilePolicy } from '../../compile/compile-policy.js'
import { isObject } from '../../lib/objects.js'
import type { Policy, RouteRule } from '../../policy/policy.js'
import { createRouteTable } from '../../routing/table.js'
import { base64urlHash, type TestKey } from '../../testing/key.js'
import { routesOf } from '../check/route-lints.js'
import { readJsonFile } from '../files.js'
import { readPolicyFile } from '../policy-file.js'
import { createLocalIssuer } from '../request/local-issuer.js'
import { specFor, stepsBefore, type TokenSpec } from '../request/spec.js'
import type { Terminal } from '../terminal.js'
import { UsageError } from '../usage-error.js'

export interface CurlOptions {
  readonly policy: string
  readonly method?: string
  readonly url?: string
  readonly agent?: string
  readonly scope?: readonly string[]
  readonly workflow?: string
  readonly step?: string
  readonly bearer?: boolean
  readonly claims?: string
  readonly nonce?: string
  readonly key?: string
  readonly jwks?: string
}

/** Prints a curl command that the policy lets in, signed by a local test issuer. */
export async function curl(options: CurlOptions, terminal: Terminal): Promise<number> {
  const policy = await readPolicyFile(options.policy)
  const compiled = compilePolicy(policy)
  const method = (options.method ?? 'GET').toUpperCase()
  if (!/^[A-Z-]+$/.test(method)) throw new UsageError('--method must be an HTTP method, such as POST')
  if (options.url === undefined) throw new UsageError('curl needs --url: a path of the API, or its whole URL')
  const target = readTarget(options.url, compiled)
  const found = findRule(policy, method, target.path)
  const spec = withOptions(
    policy,
    specFor(policy, compiled, found.rule, found.params, options.agent),
    options,
  )
  const issuer = createLocalIssuer(Date.now, options.key === undefined ? undefined : keyIn(options.key))
  const proofUrl = `${compiled.publicUrls[0]}${target.path}`
  const headers =
    found.access === 'public'
      ? {}
      : issuer.sign(compiled, spec, { method, url: proofUrl, nonce: options.nonce })
  if (options.jwks !== undefined) writeFileSync(options.jwks, `${JSON.stringify(issuer.jwks, null, 2)}\n`)
  terminal.print(format(method, target.url, headers))
  for (const remark of remarksOn(found.key, spec, compiled, options)) terminal.remark(remark)
  return 0
}

function format(method: string, url: string, headers: Readonly<Record<string, string>>): string {
  const fields = Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`)
  // With -X HEAD, curl would wait for a body.
  const options = method === 'HEAD' ? '-I' : `-i -X ${method}`
  return [`curl ${options} ${quote(url)}`, ...fields].join(' \\\n  ')
}

/**
 * Where the request goes, and the path that the proof is for: not that of a proxy's, where the URL is
 * another.
 */
function readTarget(url: string, { publicUrls }: CompiledPolicy): { url: string; path: string } {
  const isPath = url.startsWith('/')
  if (!isPath && !/^https?:\/\//i.test(url))
    throw new UsageError(`--url ${url}: must be a path such as /orders/42, or a URL with http: or https:`)
  const [base = ''] = publicUrls
  const whole = isPath ? `${base}${url}` : url
  const withoutQuery = whole.replace(/[?#].*$/s, '')
  const prefix = publicUrls.find((candidate) => withoutQuery.startsWith(`${candidate}/`))
  const path = prefix === undefined ? new URL(withoutQuery).pathname : withoutQuery.slice(prefix.length)
  return { url: whole, path }
}

interface FoundRule {
  readonly key: string | undefined
  readonly access: 'public' | 'other'
  readonly rule: RouteRule
  readonly params: Readonly<Record<string, string>>
}

function findRule(policy: Policy, method: string, path: string): FoundRule {
  const semantics = { caseSensitive: false, strict: false, wildcardMatchesEmpty: false }
  const match = createRouteTable(routesOf(policy)).find(method, path, semantics, undefined)
  const key = match?.route.key
  const access = key === undefined ? undefined : policy.routes[key]
  return {
    key,
    access: access === 'public' ? 'public' : 'other',
    rule: typeof access === 'object' ? access : {},
    params: match?.params ?? {},
  }
}

function withOptions(policy: Policy, spec: TokenSpec, options: CurlOptions): TokenSpec {
  const workflow = options.workflow ?? spec.workflow
  const step = options.step ?? spec.step
  return {
    ...spec,
    scopes: options.scope ?? spec.scopes,
    workflow,
    step,
    completed: stepsBefore(policy, workflow, step),
    isBound: options.bearer === true ? false : spec.isBound,
    claims: { ...spec.claims, ...readClaims(options.claims) },
  }
}

/** Claims as JSON, by name. */
function readClaims(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {}
  let claims: unknown
  try {
    claims = JSON.parse(text)
  } catch {
    claims = undefined
  }
  if (!isObject(claims)) throw new UsageError(`--claims must be a JSON object, as in '{"amount": 10}'`)
  const toPointer = (name: string) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
  return Object.fromEntries(Object.entries(claims).map(([name, value]) => [toPointer(name), value]))
}

/** The key of a file, which is made where it is not there, for its owner alone. */
function keyIn(file: string): TestKey {
  if (!existsSync(file)) {
    // As a JWK at once: to export a key object right after it was made can lock up Node 20.
    const asJwk = { publicKeyEncoding: { format: 'jwk' }, privateKeyEncoding: { format: 'jwk' } }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', ...asJwk })
    writeFileSync(file, `${JSON.stringify(privateKey)}\n`, { mode: 0o600, flag: 'wx' })
  }
  const jwk: JsonWebKey = Object(readJsonFile(file, 'key'))
  const { kty, crv, x, y } = jwk
  if (kty !== 'EC' || crv !== 'P-256' || typeof jwk.d !== 'string')
    throw new UsageError(`${file} is no private key of P-256 as a JWK: remove it, and it is made anew`)
  const publicJwk = { kty, crv, x, y } as JsonWebKey
  const thumbprint = base64urlHash(JSON.stringify({ crv, kty, x, y }))
  return { privateKey: createPrivateKey({ key: jwk, format: 'jwk' }), jwk: publicJwk, thumbprint }
}

function remarksOn(
  key: string | undefined,
  { issuer }: TokenSpec,
  { proof }: CompiledPolicy,
  options: CurlOptions,
): string[] {
  const trust = options.jwks ?? 'FILE'
  return [
    key === undefined
      ? '# No key of routes matches: the API denies this, whatever the token.'
      : `# For ${JSON.stringify(key)}. Good for one request, within a minute.`,
    `# Signed by a local test issuer in the name of ${issuer}. It is trusted where the policy under test has its keys:`,
    options.jwks === undefined
      ? `#   add --jwks FILE to write them${options.key === undefined ? ', and --key FILE to keep them for the next time' : ''}`
      : `#   npx ajwt explain --policy ${options.policy} --jwks ${trust} --curl '…'`,
    ...(proof.nonce === 'required' && options.nonce === undefined
      ? ['# The API asks for a nonce: repeat with --nonce and the DPoP-Nonce of its answer.']
      : []),
  ]
}
