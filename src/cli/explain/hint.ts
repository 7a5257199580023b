import { compilePolicy } from '../../compile/compile-policy.js'
import type { Explanation } from '../../explain/explanation.js'
import { registeredMethods } from '../../policy/methods.js'
import type { Policy } from '../../policy/policy.js'
import { parseRouteKey } from '../../policy/route-key.js'
import { describe } from '../../refusal.js'
import { createRouteTable } from '../../routing/table.js'
import { compileWorkflow, toSteps } from '../../rules/workflow.js'
import { everySemantics, routesOf } from '../check/route-lints.js'
import type { CapturedRequest } from '../request/captured.js'

/** A request as the API sees it: clients know its URLs under `publicUrl`, whose path a proxy strips. */
export function asApiSees(policy: Policy, captured: CapturedRequest): CapturedRequest {
  const { publicUrls } = compilePolicy(policy)
  const base = publicUrls.find((url) => captured.url.startsWith(`${url}/`))
  return base === undefined ? captured : { ...captured, url: captured.url.slice(base.length) }
}

/** The most probable fault of the recording, or between its client and the API. */
export function findHint(
  policy: Policy,
  captured: CapturedRequest,
  { decision, stages }: Explanation,
  at: number | undefined,
): string | undefined {
  const code = 'code' in decision ? decision.code : undefined
  if (code === 'credentials_missing') return captured.withoutCredentials
  if (code === 'token_expired' || code === 'proof_stale')
    return at === undefined ? findTime(captured) : undefined
  if (code === 'step_out_of_order') return findSteps(policy, stages)
  if (code !== 'route_not_declared') return undefined
  return findPrefix(policy, captured) ?? findOtherKeys(policy, captured)
}

/** The steps whose hash the token has, where it is that of another step or workflow. */
function findSteps(policy: Policy, stages: Explanation['stages']): string | undefined {
  const checks = stages.flatMap((stage) => stage.checks)
  const hash = checks.find(({ outcome }) => outcome === 'failed')?.found
  if (hash === undefined) return undefined
  for (const [id, { steps }] of Object.entries(policy.workflows ?? {})) {
    for (const [step, hashes] of compileWorkflow(toSteps(steps)))
      if (hashes.has(hash))
        return `The hash ${hash} is that of the steps up to ${JSON.stringify(step)} of workflow ${JSON.stringify(id)}.`
  }
  return undefined
}

/** A pasted request is explained as of now, when its token is no longer what it was. */
function findTime({ headers }: CapturedRequest): string | undefined {
  const [text = ''] = headers.dpop ?? headers.authorization ?? []
  const iat = readIat(text.replace(/^\S+ +/, ''))
  if (iat === undefined) return undefined
  const time = new Date(iat * 1000).toISOString()
  return `This is the verdict as of now. The request was made at ${time}, it says: --at ${time} shows the verdict at that time.`
}

/** The time of an unverified token or proof, in seconds, as long as it is a time that can be written. */
function readIat(jws: string): number | undefined {
  try {
    const { iat }: { iat?: unknown } = Object(
      JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()),
    )
    return typeof iat === 'number' && iat > 0 && iat < 253_402_300_800 ? iat : undefined
  } catch {
    return undefined
  }
}

/**
 * For a path that no key matches: the key that does without its first segments. A proxy strips these, most
 * probably, and the recording is that of a client.
 */
function findPrefix(policy: Policy, { method, url }: CapturedRequest): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { origin, pathname } = new URL(url)
  const table = createRouteTable(routesOf(policy))
  const segments = pathname.split('/').slice(1)
  for (let left = 1; left < segments.length; left++) {
    const path = `/${segments.slice(left).join('/')}`
    const route = everySemantics
      .map((semantics) => table.findRoute(method, path, semantics))
      .find((found) => found)
    if (route === undefined) continue
    // A path may contain a token.
    const prefix = describe(`/${segments.slice(0, left).join('/')}`)
    return `${JSON.stringify(route.key)} matches the path without ${prefix}. Where a proxy strips this prefix, set publicUrl to "${origin}${prefix}"; where the app is mounted under it, write the prefix into the keys.`
  }
  return undefined
}

/** Keys for the same path: the method, letter case or a slash at the end makes the difference. */
function findOtherKeys(policy: Policy, { method, url }: CapturedRequest): string | undefined {
  const [path = ''] = url.replace(/^[a-z]+:\/\/[^/?#]*/i, '').split(/[?#]/, 1)
  const table = createRouteTable(routesOf(policy))
  const keys = registeredMethods.flatMap((name) =>
    everySemantics.flatMap((semantics) => table.findRoute(name, path, semantics)?.key ?? []),
  )
  const others = [...new Set(keys)].map((key) => JSON.stringify(key))
  if (others.length === 0) return undefined
  const what = keys.some((key) => parseRouteKey(key)?.methods.includes(method))
    ? 'letter case or slashes'
    : 'the method'
  return `Keys for this path, but for ${what}: ${others.slice(0, 5).join(', ')}.`
}
