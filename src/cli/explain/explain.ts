import type { Explanation } from '../../explain/explanation.js'
import { readKeySet } from '../../keys/key-set.js'
import type { IssuerPolicy, Policy } from '../../policy/policy.js'
import type { Routing } from '../../request/request.js'
import { createVerifier } from '../../verifier.js'
import { readJsonFile } from '../files.js'
import { neededOptions, withIssuers } from '../issuers.js'
import { readPolicyFile } from '../policy-file.js'
import { type CapturedRequest, refuseRedacted } from '../request/captured.js'
import { readCurl } from '../request/curl.js'
import { readHar } from '../request/har.js'
import { readOtlp } from '../request/otlp.js'
import { readTyped, type TypedRequest } from '../request/typed.js'
import type { Terminal } from '../terminal.js'
import { UsageError } from '../usage-error.js'
import { asApiSees, findHint } from './hint.js'
import { openRedis } from './redis.js'
import { renderExplanation, toJson } from './render.js'

export interface ExplainOptions extends TypedRequest {
  readonly policy: string
  readonly curl?: string
  readonly har?: string
  readonly otlp?: string
  readonly entry?: number
  readonly at?: string
  readonly json?: boolean
  readonly jwks?: string
  readonly revoked?: readonly string[]
  readonly redis?: string
  readonly redisPrefix?: string
  readonly framework?: keyof typeof frameworks
}

/**
 * How the frameworks match paths by default: without one, paths that they match differently count as
 * undeclared.
 */
export const frameworks = {
  express: { caseSensitive: false, strict: false, wildcardMatchesEmpty: false },
  koa: { caseSensitive: false, strict: false, wildcardMatchesEmpty: false },
  hono: { caseSensitive: true, strict: true, wildcardMatchesEmpty: true },
} as const satisfies Record<string, Routing>

/** Prints why a request is allowed (0) or denied (1). Reads everything, writes nothing. */
export async function explain(options: ExplainOptions, terminal: Terminal): Promise<number> {
  const policy = withKeys(await readPolicyFile(options.policy), options.jwks)
  const captured = readCaptured(options)
  refuseRedacted(captured)
  const at = options.at === undefined ? captured.at : readTime(options.at)
  const redis = options.redis === undefined ? undefined : await openRedis(options.redis, options.redisPrefix)
  try {
    const seen = asApiSees(policy, captured)
    const explanation = await explainRequest(policy, seen, at, options, redis?.isRevoked)
    const problem = redis?.problem
    const hint = findHint(policy, captured, explanation, at)
    const report = { explanation, policy, captured, at, problem, hint }
    terminal.print(options.json ? toJson(report) : renderExplanation(report, terminal))
    const { outcome } = explanation.decision
    return outcome === 'deny' || outcome === 'observe' || problem !== undefined ? 1 : 0
  } finally {
    await redis?.close()
  }
}

async function explainRequest(
  policy: Policy,
  { method, url, headers }: CapturedRequest,
  at: number | undefined,
  { revoked = [], framework }: ExplainOptions,
  isRevoked: ((ids: string[]) => boolean | Promise<boolean>) | undefined,
): Promise<Explanation> {
  const isListed = (ids: string[]) => ids.some((id) => revoked.includes(id))
  const hasList = isRevoked !== undefined || revoked.length > 0
  const verifier = createVerifier(policy, {
    ...neededOptions(policy),
    ...(at === undefined ? {} : { now: () => at }),
    ...(hasList
      ? { revocations: { isRevoked: (ids: string[]) => isListed(ids) || (isRevoked?.(ids) ?? false) } }
      : {}),
  })
  try {
    const routing = framework === undefined ? {} : { routing: frameworks[framework] }
    return await verifier.explain({ method, url, headers, ...routing })
  } finally {
    verifier.close()
  }
}

function readCaptured(options: ExplainOptions): CapturedRequest {
  const { curl, har, otlp, entry, url } = options
  const given = Object.entries({ '--curl': curl, '--har': har, '--otlp': otlp, '--url': url }).filter(
    ([, value]) => value !== undefined,
  )
  if (given.length > 1)
    throw new UsageError(`${given.map(([name]) => name).join(' and ')} are two requests: give one of them`)
  if (curl !== undefined) return readCurl(curl)
  if (har !== undefined) return readHar(har, entry)
  return otlp === undefined ? readTyped(options) : readOtlp(otlp, entry)
}

/** RFC 3339 section 5.6. Milliseconds since the epoch. */
function readTime(text: string): number {
  const isTime = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text)
  const time = Date.parse(text.replace(' ', 'T'))
  // Date.parse takes February 30 for March 2.
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10))
  if (!isTime || !isDay || Number.isNaN(time))
    throw new UsageError('--at must be a time as in 2026-11-28T14:00:00Z (RFC 3339)')
  return time
}

/** The policy with the keys of a file in place of those that its issuers publish. */
function withKeys(policy: Policy, file: string | undefined): Policy {
  if (file === undefined) return policy
  const jwks = readJsonFile(file, 'jwks')
  if (readKeySet(jwks) === undefined)
    throw new UsageError(`${file} holds no JWK Set with 1 to 100 keys, one of them usable`)
  return withIssuers(policy, ({ jwksUri: _, ...entry }) => ({ ...entry, jwks }) as IssuerPolicy)
}
