import { sha256 } from '#runtime'
import { toArray } from '../lib/to-array.js'
import { parsePointer, resolvePointer } from '../policy/json-pointer.js'
import type { HandlerLimit } from '../policy/limit.js'
import type { RuleData } from '../policy/schema.js'
import { describe, describeError, type LimitState, Refusal } from '../refusal.js'
import { isCountable } from '../stores/limit-units.js'
import { type Charge, chargesOf, type Limiter } from '../stores/limits.js'
import type { CountedLimit, LimitUse } from '../stores/store.js'
import type { TokenClaims } from '../token/claims.js'
import type { RuleInput } from './rule-input.js'

/** One limit of a rule. */
export interface CompiledLimit {
  readonly per: HandlerLimit['per']
  /** The name for the `RateLimit` field. */
  readonly name: string
  /** Tells the counters of different limits apart. */
  readonly counter: readonly string[]
  readonly max: number | ClaimPointer
  readonly cost: Exclude<HandlerLimit['cost'], string | undefined> | ClaimPointer
  /** Seconds. Undefined: until the token expires. */
  readonly window: number | undefined
  readonly skipServerErrors: boolean
}

interface ClaimPointer {
  readonly pointer: string
  readonly path: readonly string[]
}

/** A use of one limit by one request. */
interface Use extends LimitUse {
  readonly limit: CompiledLimit
  readonly ruleWindow: number | undefined
  readonly name: string
}

/**
 * Compiles the limits of a rule. `place` is the same in every process of the API: a limit without name is one
 * of it.
 */
export function compileLimits(limits: RuleData['limit'], place: string): readonly CompiledLimit[] {
  if (limits === undefined) return []
  return toArray(limits).map((limit): CompiledLimit => {
    const { per, max, window, name, skipServerErrors = false } = limit
    const cost = 'cost' in limit && limit.cost !== undefined ? limit.cost : 1
    return Object.freeze({
      per,
      name: name ?? (window === undefined ? per : `${per}-${window}`),
      counter: name === undefined ? ['of', place, String(window), String(max)] : ['named', name],
      max: typeof max === 'string' ? toPointer(max) : max,
      cost: typeof cost === 'string' ? toPointer(cost) : cost,
      window,
      skipServerErrors,
    })
  })
}

function toPointer(pointer: string): ClaimPointer {
  return { pointer, path: parsePointer(pointer) }
}

/** The windows of named limits, by `per` and name. */
export type LimitWindows = ReadonlyMap<string, number | undefined>

function counterName(per: string, name: string): string {
  return `${per} ${name}`
}

/** The first rule that has a limit of some name decides on its window. */
export function collectLimitWindows(rules: readonly RuleData[]): LimitWindows {
  const windows = new Map<string, number | undefined>()
  for (const { per, name, window } of rules.flatMap(({ limit }) => toArray(limit ?? []))) {
    if (name === undefined || windows.has(counterName(per, name))) continue
    windows.set(counterName(per, name), window)
  }
  return windows
}

type Report = (path: readonly PropertyKey[], message: string) => void

/**
 * Reports two limits of one rule that are the same counter, and limits of one name with different windows.
 */
export function findLimitProblems(limits: RuleData['limit'], windows: LimitWindows, report: Report): void {
  const seen = new Set<string>()
  for (const [index, limit] of toArray(limits ?? []).entries()) {
    const place = Array.isArray(limits) ? ['limit', index] : ['limit']
    const { per, name, window } = limit
    const counter = JSON.stringify([per, name ?? ['', window]])
    if (seen.has(counter)) report(place, sameCounter(name))
    seen.add(counter)
    findWindowProblem(limit, windows, (path, message) => report([...place, ...path], message))
  }
}

function sameCounter(name: string | undefined): string {
  return name === undefined
    ? 'counts the same as an earlier limit: remove one of them, or give them names'
    : 'has the name of an earlier limit of this rule: give it another one'
}

function findWindowProblem(
  {
    per,
    name,
    window,
  }: { readonly per: string; readonly name?: string | undefined; readonly window?: number | undefined },
  windows: LimitWindows,
  report: Report,
): void {
  if (name === undefined || !windows.has(counterName(per, name))) return
  const other = windows.get(counterName(per, name))
  if (other === window) return
  const expected = other === undefined ? 'left out' : other
  report(
    ['window'],
    `must be ${expected}, as in another rule with the limit "${name}": limits of one name are one counter`,
  )
}

/** How much a request would count in each limit, or why that is unknown. */
export async function findUses(
  limits: readonly CompiledLimit[],
  input: RuleInput,
): Promise<readonly Use[] | Refusal> {
  const uses: Use[] = []
  for (const limit of limits) {
    const key = keyOf(limit, input)
    if (key instanceof Refusal) return key
    const max = readAmount(limit.max, input.token)
    if (max instanceof Refusal) return max
    const cost =
      typeof limit.cost === 'function'
        ? await askCost(limit.cost, input)
        : readAmount(limit.cost, input.token)
    if (cost instanceof Refusal) return cost
    const { exp, limits: times } = input.token
    // As long as any process could accept the token. The clock may have gone on since its time was checked.
    const rest = Math.max(1, exp + 2 * times.clockTolerance - input.now)
    const { window, name } = limit
    const isExtended = window === undefined
    uses.push({ key, cost, max, window: window ?? rest, isExtended, limit, ruleWindow: window, name })
  }
  return uses
}

/** Counts a request in all limits or in none. The refusal names the limit that is used up. */
export async function consumeLimits(
  uses: readonly Use[],
  limiter: Limiter,
  { consumed, isOncePerRequest }: RuleInput,
): Promise<readonly Charge[] | Refusal> {
  const charges = chargesOf(consumed)
  const due = uses.map((use) => ({
    ...use,
    cost: isOncePerRequest ? dueCost(use, charges, limiter) : use.cost,
  }))
  const results = await limiter.consume(due)
  if (results instanceof Refusal) return results
  if (!results.every(({ allowed }) => allowed)) return exceeded(uses, results)
  const made = due.map((use, index): Charge => {
    const { remaining, resetSeconds, period } = results[index] as CountedLimit
    const { key, cost, max, window, name, ruleWindow } = use
    const { skipServerErrors } = use.limit
    const counted = { key, cost, max, window, period, limiter, name, ruleWindow, skipServerErrors }
    return { ...counted, remaining, resetSeconds, isOncePerRequest }
  })
  charges.push(...made)
  return made
}

/** A request that meets one limit in several rules counts once: by its largest cost. */
function dueCost({ key, cost }: LimitUse, charges: readonly Charge[], limiter: Limiter): number {
  const counted = charges.filter(
    (charge) => charge.key === key && charge.limiter.store === limiter.store && charge.isOncePerRequest,
  )
  return Math.max(
    0,
    counted.reduce((due, charge) => due - charge.cost, cost),
  )
}

function exceeded(uses: readonly Use[], results: readonly CountedLimit[]): Refusal {
  const states = uses.map(({ name, max, ruleWindow }, index): LimitState => {
    const { remaining, resetSeconds } = results[index] as CountedLimit
    return { name, max, ruleWindow, remaining, resetSeconds }
  })
  const index = results.findIndex(({ allowed }) => !allowed)
  const [use, state] = [uses[index] as Use, states[index] as LimitState]
  const resets = results.flatMap(({ allowed, resetSeconds }) => (allowed ? [] : [resetSeconds]))
  const period = use.ruleWindow === undefined ? 'until the token expires' : `in ${use.ruleWindow} s`
  const cause = {
    reason: `the limit "${use.name}" (per ${use.limit.per}) is used up`,
    ...(typeof use.limit.max === 'number' ? {} : { claim: describe(use.limit.max.pointer) }),
    expected: `at most ${use.max} ${period}`,
    found: `${use.cost} more, with ${state.remaining} left`,
  }
  return new Refusal('limit_exceeded', cause, { limits: states, retryAfter: Math.max(...resets) })
}

/** The key of the counter: a digest, because ids can be long and are none of the store's business. */
function keyOf({ per, counter }: CompiledLimit, input: RuleInput): string | Refusal {
  const ids = idsOf(per, input.token)
  const missing = ids.find(({ id }) => id === undefined)
  if (missing !== undefined) return lacking(missing.claim, undefined, `an id: the limit counts per ${per}`)
  // In mode "observe" nobody is refused, and what is counted there uses up no limit that is enforced.
  const mode = input.isObserved ? 'observe' : 'enforce'
  const place = counter[0] === 'named' ? counter : [...counter, input.route ?? '']
  return sha256(JSON.stringify([mode, place, per, input.token.issuer, ...ids.map(({ id }) => id)]))
}

interface CountedId {
  readonly id: string | undefined
  readonly claim: string
}

function idsOf(per: CompiledLimit['per'], token: TokenClaims): readonly CountedId[] {
  if (per === 'token') return [{ id: token.jti, claim: token.names.id }]
  if (per === 'agent') return [{ id: token.agent, claim: token.names.agent }]
  const { intent } = token
  // Profile `oauth`: without an intent, the subject is the one for whom the agent acts.
  const subject = intent.executedBy === undefined ? token.subject : undefined
  const initiator = { id: intent.initiatedBy ?? subject, claim: 'intent.initiated_by' }
  if (per === 'initiator') return [initiator]
  if (per === 'intent') return [initiator, { id: intent.hash, claim: 'intent.intent_hash' }]
  return [initiator, { id: intent.runId, claim: 'intent.run_id' }]
}

function readAmount(amount: number | ClaimPointer, { claims }: TokenClaims): number | Refusal {
  if (typeof amount === 'number') return amount
  const value = resolvePointer(claims, amount.path)
  return isCountable(value) ? value : lacking(amount.pointer, value, 'a number of 0 or more')
}

function lacking(claim: string, found: unknown, expected: string): Refusal {
  const reason = 'the token does not have the claim that the limit needs'
  return new Refusal('claim_not_allowed', {
    reason,
    claim: describe(claim),
    expected,
    found: describe(found),
  })
}

/**
 * The function of the app reads what the caller has sent: an amount that is no number is the caller's
 * mistake.
 */
async function askCost(
  costOf: Extract<CompiledLimit['cost'], (...args: never) => unknown>,
  { request }: RuleInput,
): Promise<number | Refusal> {
  let cost: unknown
  try {
    cost = await costOf(request as never)
  } catch (error) {
    return wrongCost(`the cost function of the limit failed: ${describeError(error)}`, 'nothing')
  }
  return isCountable(cost) ? cost : wrongCost('the cost of this request is not a number of 0 or more', cost)
}

function wrongCost(reason: string, found: unknown): Refusal {
  const cause = {
    reason,
    expected: 'a number of 0 or more',
    found: describe(found),
    unverified: true,
  } as const
  return new Refusal('argument_not_allowed', cause)
}
