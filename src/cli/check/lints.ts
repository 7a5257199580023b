import { isObject } from '../../lib/objects.js'
import { isIdentifier } from '../../lib/strings.js'
import { findKnownServer } from '../../policy/known-server.js'
import { knownServerSources } from '../../policy/known-server-sources.js'
import type { Policy, RouteRule } from '../../policy/policy.js'
import { createIdReader } from '../../policy/qualified-id.js'
import { issuersOf, nameOf, profileOf } from '../issuers.js'
import type { Report } from './finding.js'
import { findPublicUnderProtected, findUnreachableKeys } from './route-lints.js'

/** A rule of a handler, as far as lints read it. */
interface HandlerRule {
  readonly intent?: { readonly workflow: string } | undefined
}

/** Reports what is allowed and most probably not meant. The policy has compiled. */
export function lintPolicy(policy: Policy, handlerRules: readonly HandlerRule[], report: Report): void {
  findUnreachableKeys(policy, report)
  findPublicUnderProtected(policy, report)
  lintWorkflows(policy, handlerRules, report)
  lintStores(policy, report)
  lintLifetimes(policy, report)
  lintNames(policy, report)
  if (policy.proof?.required === false)
    report(
      'bearer-allowed',
      ['proof', 'required'],
      'Bearer is allowed: a stolen token is good for every request until it expires',
    )
  if (policy.allowInsecureHttp === true)
    report(
      'insecure-http',
      ['allowInsecureHttp'],
      'allows http for every host: name the hosts instead, as in ["keycloak:8080"]',
    )
  describeKnownServers(policy, report)
}

/** The rules of a policy, with their keys. */
export function rulesOf(policy: Policy): readonly (readonly [key: string, rule: RouteRule])[] {
  return Object.entries(policy.routes).flatMap(([key, access]) =>
    typeof access === 'string' ? [] : [[key, access] as const],
  )
}

function lintWorkflows(policy: Policy, handlerRules: readonly HandlerRule[], report: Report): void {
  const rules: readonly HandlerRule[] = [...rulesOf(policy).map(([, rule]) => rule), ...handlerRules]
  const used = new Set(rules.map(({ intent }) => intent?.workflow))
  for (const name of Object.keys(policy.workflows ?? {})) {
    if (used.has(name)) continue
    report(
      'unused-workflow',
      ['workflows', name],
      'no rule of routes names this workflow: use it, remove it, or pass the rules of requireIntent with --rules',
    )
  }
}

function lintStores(policy: Policy, report: Report): void {
  for (const [key, rule] of rulesOf(policy)) {
    for (const name of ['once', 'limit']) {
      const value = Reflect.get(rule, name)
      if (value === undefined || value === false) continue
      const store = name === 'once' ? 'replayStore' : 'limitStore'
      report(
        'shared-store',
        ['routes', key, name],
        `holds within one process only, unless the option ${store} is a store that all processes share, such as that of ajwt/redis`,
      )
    }
  }
}

/** Seconds: the default, and what RFC 9700 calls short. */
const shortLifetime = 300

function lintLifetimes(policy: Policy, report: Report): void {
  const entries = issuersOf(policy).map(([path, { token }]) => [path, token] as const)
  for (const [path, token] of [[[], policy.token] as const, ...entries]) {
    const { maxLifetime } = token ?? {}
    if (maxLifetime === undefined || maxLifetime <= shortLifetime) continue
    report(
      'long-lifetime',
      [...path, 'token', 'maxLifetime'],
      `${maxLifetime} s is more than ${shortLifetime} s: a token that is stolen, or whose right has ended, is good for so long`,
    )
  }
}

const checksumForm = /^sha256:[0-9a-f]{64}$/

/** Ids that an issuer of intent tokens cannot put into a token. */
function lintNames(policy: Policy, report: Report): void {
  const issuers = issuersOf(policy)
  const profiles = new Map(issuers.map(([, entry]) => [nameOf(entry), profileOf(entry)]))
  const readId = createIdReader([...profiles.keys()])
  const check = (path: readonly PropertyKey[], entry: string, isHashed: boolean) => {
    const read = readId(entry)
    if (typeof read === 'string' || profiles.get(read.issuer) !== 'ajwt') return
    const isPossible = isIdentifier(read.id) && !(isHashed && read.id.includes('|'))
    if (!isPossible)
      report(
        'impossible-name',
        path,
        `${JSON.stringify(read.id)} is in no intent token: ids there are printable ASCII${isHashed ? ' without "|"' : ''}`,
        'value',
      )
  }
  for (const [path, id, isHashed] of idsOf(policy)) check(path, id, isHashed)
  for (const [id, { checksums = [] }] of Object.entries(policy.agents ?? {})) {
    for (const [index, checksum] of checksums.entries()) {
      if (checksumForm.test(checksum)) continue
      const message = `${JSON.stringify(checksum)} is no checksum of an agent: "sha256:" and 64 lower-case hex digits`
      report('impossible-name', ['agents', id, 'checksums', index], message, 'value')
    }
  }
}

/** Every agent and person of a policy, with its place, and whether it enters a hash. */
function idsOf(policy: Policy): readonly (readonly [PropertyKey[], id: string, isHashed: boolean])[] {
  const agents = Object.keys(policy.agents ?? {}).map((id) => [['agents', id], id, true] as const)
  return [...agents, ...rulesOf(policy).flatMap(([key, rule]) => idsOfRule(['routes', key], rule))].map(
    ([path, id, isHashed]) => [[...path], id, isHashed],
  )
}

function idsOfRule(
  place: readonly PropertyKey[],
  { agents = [], user, delegation = {} }: RouteRule,
): (readonly [readonly PropertyKey[], id: string, isHashed: boolean])[] {
  const { initiators = [], chains = [] } = delegation
  return [
    ...agents.map((id, index) => [[...place, 'agents', index], id, true] as const),
    ...(user?.sub ?? []).map((id, index) => [[...place, 'user', 'sub', index], id, false] as const),
    ...initiators.map((id, index) => [[...place, 'delegation', 'initiators', index], id, true] as const),
    ...chains.flatMap((chain, index) =>
      chain.map((id, hop) => [[...place, 'delegation', 'chains', index, hop], id, true] as const),
    ),
  ]
}

/** Tells what `like` stands for: the members that the policy does not write itself. */
function describeKnownServers(policy: Policy, report: Report): void {
  for (const [path, entry] of issuersOf(policy)) {
    if (entry.like === undefined) continue
    const filled = findKnownServer(entry) ?? {}
    const source = knownServerSources[entry.like]
    const texts = Object.entries(filled).flatMap(([name, value]) =>
      describeFilled(name, value, Reflect.get(entry, name)),
    )
    report('note', [...path, 'like'], `${JSON.stringify(entry.like)} fills ${texts.join(', ')} (${source})`)
  }
}

function describeFilled(name: string, value: unknown, written: unknown): string[] {
  if (!isObject(value)) return written === undefined ? [`${name} ${JSON.stringify(value)}`] : []
  const own = isObject(written) ? written : {}
  return Object.entries(value)
    .filter(([member]) => own[member] === undefined)
    .map(([member, inner]) => `${name}.${member} ${JSON.stringify(inner)}`)
}
