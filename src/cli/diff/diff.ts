import { type CompiledPolicy, compilePolicy } from '../../compile/compile-policy.js'
import type { Decision } from '../../decision.js'
import type { Policy, RouteRule } from '../../policy/policy.js'
import { createRouteTable, type Route } from '../../routing/table.js'
import { memoryReplayStore } from '../../stores/memory/replay.js'
import { createVerifier, type Verifier } from '../../verifier.js'
import { methodsOf, routesOf, samplePaths } from '../check/route-lints.js'
import { neededOptions } from '../issuers.js'
import { readPolicyFile } from '../policy-file.js'
import { createLocalIssuer, type LocalIssuer } from '../request/local-issuer.js'
import { specFor, type TokenSpec } from '../request/spec.js'
import type { Terminal } from '../terminal.js'
import type { Change, Verdict } from './change.js'
import { comparePolicies } from './policy-changes.js'
import { compareRules, type RuleSide } from './rule-changes.js'
import { type Side, variantsOf } from './variants.js'

export interface DiffOptions {
  readonly json?: boolean
}

/** Most examples that are printed for one pair of keys. */
const maxExamples = 3

/** Prints the requests whose verdict changes. Resolves to 1 if one that was denied is let through now. */
export async function diff(
  oldFile: string,
  newFile: string,
  { json }: DiffOptions,
  terminal: Terminal,
): Promise<number> {
  const [before, after] = [await readPolicyFile(oldFile), await readPolicyFile(newFile)]
  const changes = [...(await compare(before, after)), ...comparePolicies(before, after)]
  if (json) terminal.print(JSON.stringify(changes, null, 2))
  else print(changes, terminal)
  return changes.some(({ effect }) => effect === 'weaker') ? 1 : 0
}

/** A policy as a verifier that trusts the local issuer, and the means to look a key up. */
interface ComparedPolicy {
  readonly policy: Policy
  readonly verifier: Verifier
  readonly compiled: CompiledPolicy
  readonly side: (rule: RouteRule) => Side
  keyFor(method: string, path: string): string | undefined
}

function toCompared(policy: Policy, issuer: LocalIssuer, now: () => number): ComparedPolicy {
  const trusting = issuer.trustedBy(withoutLimits(policy))
  const compiled = compilePolicy(trusting)
  const table = createRouteTable(routesOf(policy))
  const semantics = { caseSensitive: true, strict: true, wildcardMatchesEmpty: true }
  return {
    policy,
    verifier: createVerifier(trusting, {
      ...neededOptions(policy),
      now,
      replayStore: memoryReplayStore({ now }),
    }),
    compiled,
    side: (rule) => ({ policy: trusting, compiled, rule }),
    keyFor: (method, path) => table.findRoute(method, path, semantics)?.key,
  }
}

/** The examples are many requests of few agents: limits are compared by what they say. */
function withoutLimits(policy: Policy): Policy {
  const routes = Object.entries(policy.routes).map(([key, access]) => {
    if (typeof access === 'string') return [key, access]
    const { limit: _, ...rule } = access
    return [key, rule]
  })
  return { ...policy, routes: Object.fromEntries(routes) }
}

/** Decides the same requests by both policies. */
async function compare(before: Policy, after: Policy): Promise<Change[]> {
  // A whole second, so that what is as old as allowed is no older.
  const time = Math.floor(Date.now() / 1000) * 1000
  const now = () => time
  const issuer = createLocalIssuer(now)
  const policies = [toCompared(before, issuer, now), toCompared(after, issuer, now)] as const
  const changes: Change[] = []
  const comparedKeys = new Set<string>()
  for (const { method, path } of samplesOf([...routesOf(before), ...routesOf(after)]))
    changes.push(...(await compareAt(method, path, policies, issuer, comparedKeys)))
  for (const { verifier } of policies) verifier.close()
  return changes
}

async function compareAt(
  method: string,
  path: string,
  policies: readonly [ComparedPolicy, ComparedPolicy],
  issuer: LocalIssuer,
  comparedKeys: Set<string>,
): Promise<Change[]> {
  const [before, after] = policies
  const keys = [before.keyFor(method, path), after.keyFor(method, path)] as const
  const isFirst = !comparedKeys.has(JSON.stringify(keys))
  comparedKeys.add(JSON.stringify(keys))
  const sides = policies.map(({ side, policy }, index) => side(ruleOf(policy, keys[index])))
  const params = paramsOf(keys, path)
  const compareDecisions = async (by: string, sent: Sent): Promise<Change | undefined> => {
    const verdicts: string[] = []
    for (const { verifier, compiled } of policies)
      verdicts.push(await decideWith(verifier, method, path, sent, compiled, issuer))
    const [was = '', is = ''] = verdicts
    if (isLetThrough(was) === isLetThrough(is)) return undefined
    return {
      effect: isLetThrough(is) ? 'weaker' : 'stricter',
      request: `${method} ${path}`,
      by,
      before: { verdict: was, key: keys[0] },
      after: { verdict: is, key: keys[1] },
    }
  }
  const changes = [
    await compareDecisions('without credentials', { headers: {} }),
    await compareDecisions('with credentials of another scheme', {
      headers: { authorization: 'Basic eDp5' },
    }),
    ...(isFirst ? compareRulesAt(`${method} ${path}`, policies, keys, sides) : []),
  ]
  const known = new Set<string>()
  for (const [index, side] of sides.entries()) {
    const base = specFor(side.policy, side.compiled, side.rule, params)
    const meeting = await compareDecisions(
      `with a token that meets the ${index === 0 ? 'old' : 'new'} rule`,
      { token: base },
    )
    changes.push(meeting)
    for (const { description, spec } of variantsOf(base, sides)) {
      // A claim that is left out is another token than one that is not mentioned.
      const text = JSON.stringify(spec, (_, value: unknown) => value ?? null)
      if (known.has(text)) continue
      known.add(text)
      const change = await compareDecisions(`with a token ${description}`, { token: spec })
      // If the decision for the rule's own caller has changed, so has that for most others.
      if (change?.effect !== meeting?.effect) changes.push(change)
    }
  }
  return changes.filter((change) => change !== undefined)
}

/** Differences between two rules that no example shows. Public and undeclared paths have no rule. */
function compareRulesAt(
  request: string,
  policies: readonly [ComparedPolicy, ComparedPolicy],
  keys: readonly [string | undefined, string | undefined],
  sides: readonly Side[],
): Change[] {
  const [was, is] = policies.map(({ policy }, index): RuleSide | undefined => {
    const [key, side] = [keys[index], sides[index]]
    if (key === undefined || side === undefined || policy.routes[key] === 'public') return undefined
    return { key, rule: ruleOf(policy, key), maxDepth: side.compiled.delegation.maxDepth }
  })
  return was === undefined || is === undefined ? [] : compareRules(request, was, is)
}

/** A token to be signed, or fields as they are. */
type Sent = { readonly token: TokenSpec } | { readonly headers: Readonly<Record<string, string>> }

/** The decision of one policy. Each decision needs a new proof. */
async function decideWith(
  verifier: Verifier,
  method: string,
  path: string,
  sent: Sent,
  compiled: CompiledPolicy,
  issuer: LocalIssuer,
): Promise<string> {
  if ('token' in sent && !compiled.issuers.has(sent.token.issuer)) return 'issuer_not_trusted'
  const url = `${compiled.publicUrls[0]}${path}`
  const send = async (nonce: string | undefined) => {
    const headers = 'token' in sent ? issuer.sign(compiled, sent.token, { method, url, nonce }) : sent.headers
    return verifier.verify({ method, url: path, headers })
  }
  const decision = await send(undefined)
  const isForNonce = 'code' in decision && decision.code === 'proof_nonce_required'
  return verdictOf(isForNonce ? await send(decision.headers['dpop-nonce']) : decision)
}

function verdictOf(decision: Decision): string {
  return decision.outcome === 'deny' ? decision.code : decision.outcome
}

const letThrough: ReadonlySet<string> = new Set(['allow', 'public', 'anonymous', 'observe'])

function isLetThrough(verdict: string): boolean {
  return letThrough.has(verdict)
}

function ruleOf(policy: Policy, key: string | undefined): RouteRule {
  const access = key === undefined ? undefined : policy.routes[key]
  return typeof access === 'object' ? access : {}
}

/** Requests that come to every key of either policy, and one that comes to none. */
function samplesOf(routes: readonly Route[]): readonly { method: string; path: string }[] {
  const named = routes.flatMap(({ methods }) => methods.filter((method) => method !== '*'))
  const everyMethod = [...new Set([...named, 'GET', 'POST', 'DELETE'])]
  const samples = new Map<string, { method: string; path: string }>()
  for (const route of routes) {
    const methods = methodsOf(route).filter((method) => everyMethod.includes(method))
    for (const sample of samplePaths(route.segments, route.hasTrailingSlash)) {
      const path = sample.replaceAll('any!', 'any-')
      for (const method of methods) samples.set(`${method} ${path}`, { method, path })
    }
  }
  samples.set('undeclared', { method: 'GET', path: '/any-undeclared-path' })
  return [...samples.values()]
}

/** The values of the parameters in a sample, whatever the policies call them. */
function paramsOf(keys: readonly (string | undefined)[], path: string): Record<string, string> {
  const texts = path.split('/')
  const named = keys.flatMap((key) =>
    (key?.split(' ')[1] ?? '').split('/').map((segment, at) => [segment, texts[at]]),
  )
  return Object.fromEntries(
    named.flatMap(([segment = '', text = '']) => (segment.startsWith(':') ? [[segment.slice(1), text]] : [])),
  )
}

function print(changes: readonly Change[], { print: write, remark, colors }: Terminal): void {
  const groups = new Map<string, Change[]>()
  for (const change of changes) {
    const group = JSON.stringify([change.effect, change.request, change.before.key, change.after.key])
    groups.set(group, [...(groups.get(group) ?? []), change])
  }
  for (const group of groups.values()) {
    for (const { effect, request, by, before, after } of group.slice(0, maxExamples)) {
      const color = effect === 'weaker' ? colors.red : colors.green
      write(`${color(effect.padEnd(8))} ${request} ${by}`)
      write(`         old: ${formatSide(before)}`)
      write(`         new: ${formatSide(after)}`)
    }
    const more = group.length - maxExamples
    if (more > 0) write(`         and ${more} more such ${more === 1 ? 'request' : 'requests'}`)
  }
  const count = (effect: string) => changes.filter((change) => change.effect === effect).length
  remark(
    changes.length === 0
      ? 'No request changes its verdict.'
      : `${count('weaker')} example requests are let through that were denied, ${count('stricter')} are denied that were let through.`,
  )
}

function formatSide({ verdict, key }: Verdict): string {
  return `${isLetThrough(verdict) ? verdict : `denied, ${verdict}`}, by ${key === undefined ? 'no key' : JSON.stringify(key)}`
}
