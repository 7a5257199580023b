import { sharedInProcess } from '../lib/copies.js'
import { isPromiseLike, type MaybePromise, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { describeError, isRefusal, Refusal } from '../refusal.js'
import { memoryLimitStore } from './memory/limits.js'
import type { Consumed } from './replay.js'
import type { CountedLimit, LimitCharge, LimitResult, LimitStore, LimitUse } from './store.js'

/** Counts the uses of one request: all of them, or none. */
export interface Limiter {
  readonly store: LimitStore
  /** The results in the order of the uses. One that is not `allowed` means that none was counted. */
  consume(uses: readonly LimitUse[]): MaybePromise<readonly CountedLimit[] | Refusal>
  /** Not awaited: a store that fails here has counted too much, never too little. */
  giveBack(charges: readonly GivenBack[]): void
}

/** A cost to give back, with the arguments that it was counted with. */
export interface GivenBack extends LimitCharge {
  readonly max: number
  readonly window: number
}

/** One limit that a request was counted in. */
export interface Charge extends GivenBack {
  readonly limiter: Limiter
  /** The name for the `RateLimit` field. */
  readonly name: string
  /** Seconds, as the rule has it. Undefined: until the token expires. */
  readonly ruleWindow: number | undefined
  readonly remaining: number
  readonly resetSeconds: number
  /** Whether it is given back if the handler answers with a 5xx status. */
  readonly skipServerErrors: boolean
  /** Whether another rule of the same request does not count it again. */
  readonly isOncePerRequest: boolean
}

/** Without the options `limitStore` and `now`, all verifiers of the process share one store. */
export function limitStoreFor({
  limitStore,
  now,
}: {
  readonly limitStore?: LimitStore
  readonly now?: () => number
}): LimitStore {
  if (limitStore !== undefined) return limitStore
  return now === undefined
    ? sharedInProcess('limit store', () => memoryLimitStore())
    : memoryLimitStore({ now })
}

/** Shared by all verifiers that decide a request, as the list of its consumed proofs is. */
const chargesByRequest = sharedInProcess('limit charges', () => new WeakMap<Consumed[], Charge[]>())

/** Undefined if a request was counted in no limit. `consumed` tells requests apart. */
export function findCharges(consumed: Consumed[]): readonly Charge[] | undefined {
  return chargesByRequest.get(consumed)
}

/** The limits that a request was counted in so far. */
export function chargesOf(consumed: Consumed[]): Charge[] {
  let charges = chargesByRequest.get(consumed)
  if (charges === undefined) {
    charges = []
    chargesByRequest.set(consumed, charges)
  }
  return charges
}

/** Gives these charges back and removes them from the request. */
export function undoCharges(consumed: Consumed[], undone: readonly Charge[]): void {
  const charges = chargesOf(consumed)
  for (const charge of undone) {
    const index = charges.indexOf(charge)
    if (index < 0) continue
    charges.splice(index, 1)
    charge.limiter.giveBack([charge])
  }
}

export function createLimiter(store: LimitStore): Limiter {
  return {
    store,
    consume(uses) {
      try {
        const counted = store.consumeAll === undefined ? inOrder(store, uses) : store.consumeAll(uses)
        if (!isPromiseLike(counted)) return toResults(counted, uses)
        return settle(store, Promise.resolve(counted), uses)
      } catch (error) {
        return unavailable(error)
      }
    },
    giveBack: (charges) => void giveBack(store, charges),
  }
}

async function settle(
  store: LimitStore,
  counting: Promise<readonly CountedLimit[]>,
  uses: readonly LimitUse[],
): Promise<readonly CountedLimit[] | Refusal> {
  try {
    return toResults(await withDeadline(counting, STORE_TIMEOUT_SECONDS), uses)
  } catch (error) {
    // The request is refused: an answer that comes later must not count it.
    counting.then(
      (late) => undo(store, uses, late),
      () => {},
    )
    return unavailable(error)
  }
}

function undo(store: LimitStore, uses: readonly LimitUse[], counted: readonly CountedLimit[]): void {
  if (isRefusal(toResults(counted, uses)) || !counted.every(({ allowed }) => allowed)) return
  const charges = uses.map((use, index) => ({ ...use, period: counted[index]?.period ?? '' }))
  void giveBack(store, charges)
}

async function giveBack(store: LimitStore, charges: readonly GivenBack[]): Promise<void> {
  try {
    if (store.giveBack !== undefined) return void (await store.giveBack(charges))
    for (const { key, cost, max, window } of charges) await store.consume(key, -cost, max, window)
  } catch {
    // Counted too much: the caller may be refused too early, and never too late.
  }
}

/** For a store without `consumeAll`. The first refusal undoes the uses before it. */
async function inOrder(store: LimitStore, uses: readonly LimitUse[]): Promise<readonly CountedLimit[]> {
  const results = uses.map(unaffected)
  for (const [index, use] of uses.entries()) {
    const undoEarlier = () =>
      giveBack(
        store,
        uses.slice(0, index).map((earlier) => ({ ...earlier, period: '' })),
      )
    try {
      const { key, cost, max, window } = use
      const consumed = store.consume(key, cost, max, window)
      const result = isPromiseLike(consumed) ? await withDeadline(consumed, STORE_TIMEOUT_SECONDS) : consumed
      checkResult(result)
      const { allowed, remaining, resetSeconds } = result
      results[index] = { allowed, remaining, resetSeconds, period: '' }
      if (allowed) continue
    } catch (error) {
      await undoEarlier()
      throw error
    }
    await undoEarlier()
    break
  }
  return results
}

function unaffected({ max, window }: LimitUse): CountedLimit {
  return { allowed: true, remaining: max, resetSeconds: window, period: '' }
}

function toResults(
  counted: readonly CountedLimit[],
  uses: readonly LimitUse[],
): readonly CountedLimit[] | Refusal {
  try {
    if (!Array.isArray(counted) || counted.length !== uses.length)
      throw new TypeError('consumeAll() of the limit store must return one result for each use')
    for (const result of counted) checkResult(result)
    return counted
  } catch (error) {
    return unavailable(error)
  }
}

/** A truthy `allowed`, such as a count, would let every request pass. */
function checkResult(result: LimitResult): void {
  const isValid =
    typeof result?.allowed === 'boolean' &&
    Number.isFinite(result.remaining) &&
    Number.isFinite(result.resetSeconds)
  if (!isValid)
    throw new TypeError(
      'consume() of the limit store must return { allowed: boolean, remaining, resetSeconds }',
    )
}

function unavailable(error: unknown): Refusal {
  return new Refusal('limits_unavailable', { reason: describeError(error) })
}
