import { adviceOf } from '#advice'
import type { Decision, Stage } from '../decision.js'
import { type DenialCode, denials } from '../protocol/denials.js'
import { type CheckObserver, describe, type Refusal } from '../refusal.js'
import { catalogue, clauseOf, isCallersWord } from './catalogue.js'

/** The outcome of one check. `not_checked`: it would have used up or recorded something. */
export type CheckOutcome = 'passed' | 'failed' | 'not_reached' | 'not_checked'

export interface ExplainedCheck {
  readonly name: string
  readonly outcome: CheckOutcome
  /** Of a failed check: the mistake in words. */
  readonly reason?: string
  readonly expected?: string
  /** Printable, at most 128 characters. Never a token, a proof, a key or a secret. */
  readonly found?: string
  /** Whether `found` is the caller's own word: no signature vouches for it. */
  readonly unverified?: true
  /** The standard that asks for the check. */
  readonly clause?: string
  /**
   * Of a failed check: what to change at the caller, the issuer or the API. Not in a bundle with the
   * condition `ajwt-checked`.
   */
  readonly advice?: string
}

export interface ExplainedStage {
  readonly stage: Stage
  readonly checks: readonly ExplainedCheck[]
}

/** Why a request is allowed or denied: every check, in its order. */
export interface Explanation {
  readonly decision: Decision
  readonly stages: readonly ExplainedStage[]
}

/** How a decision came about, beside the decision itself. */
export interface ExplainedOutcome {
  readonly stage: Stage | undefined
  readonly refusal: Refusal | undefined
  /** The conditions of the route's rule, in their order. */
  readonly conditions: readonly string[]
}

const stages: readonly Stage[] = ['request', 'token', 'revocation', 'proof', 'delegation', 'rule']

/** A check that was begun, or left out because it writes. */
interface Recorded {
  readonly name: string
  readonly expected: string | undefined
  readonly found: string | undefined
  readonly isSkipped: boolean
}

export interface Recorder extends CheckObserver {
  toExplanation(decision: Decision, outcome: ExplainedOutcome): Explanation
}

/** Notes down the checks of one request. */
export function createRecorder(): Recorder {
  const recorded = new Map<Stage, Recorded[]>(stages.map((stage) => [stage, []]))
  let current: Stage = 'request'

  function note(name: string, expected: unknown, found: unknown, isSkipped: boolean): undefined {
    const text = (value: unknown) => (value === undefined ? undefined : describe(value))
    const before = recorded.get(current)?.filter((check) => check.name !== name) ?? []
    recorded.set(current, [...before, { name, expected: text(expected), found: text(found), isSkipped }])
  }

  return {
    enter(stage) {
      current = stage
    },
    begin: (name, expected, found) => note(name, expected, found, false),
    skip: (name, expected, found) => void note(name, expected, found, true),
    toExplanation(decision, outcome) {
      // A mistake of the program is no check of any stage.
      if (outcome.refusal?.code === 'internal_error' && outcome.stage === 'request') {
        current = 'request'
        note('verifier', 'a verifier that is open and has a clock', undefined, false)
      }
      return { decision, stages: explainStages(decision, recorded, outcome) }
    },
  }
}

function explainStages(
  decision: Decision,
  recorded: ReadonlyMap<Stage, readonly Recorded[]>,
  { stage: last, refusal, conditions }: ExplainedOutcome,
): readonly ExplainedStage[] {
  const end = last === undefined ? stages.length : stages.indexOf(last)
  const isComplete = decision.outcome === 'allow'
  return stages.map((stage, index) => {
    const begun = index <= end ? (recorded.get(stage) ?? []) : []
    const isFailing = index === end && refusal !== undefined
    const lastBegun = begun.findLastIndex(({ isSkipped }) => !isSkipped)
    const checks = begun.map((check, at): ExplainedCheck => {
      if (isFailing && at === lastBegun) return explainFailed(stage, check, refusal)
      if (isFailing && at > lastBegun) return notReached(stage, check.name)
      return explainPassed(stage, check, begun)
    })
    // A stage that has passed lists what there was to check: without a chain there are no hops.
    const hasPassed = isComplete || index < end
    const known = new Set(begun.map(({ name }) => name))
    const names = [...catalogue[stage].map(({ name }) => name), ...(stage === 'rule' ? conditions : [])]
    const rest = hasPassed ? [] : names.filter((name) => !known.has(name))
    return { stage, checks: [...checks, ...rest.map((name) => notReached(stage, name))] }
  })
}

function explainPassed(
  stage: Stage,
  { name, expected, found, isSkipped }: Recorded,
  begun: readonly Recorded[],
): ExplainedCheck {
  const isSigned = begun.findIndex((check) => check.name === 'signature') < begun.length - 1
  const hasSignature = begun.some((check) => check.name === 'signature')
  const isUnverified = isCallersWord(stage, name) && !(hasSignature && isSigned)
  return {
    name,
    outcome: isSkipped ? 'not_checked' : 'passed',
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(found !== undefined && isUnverified ? { unverified: true } : {}),
    clause: clauseOf(stage, name),
  }
}

function explainFailed(
  stage: Stage,
  { name, ...recorded }: Recorded,
  { code, cause }: Refusal,
): ExplainedCheck {
  const { expected = recorded.expected, found = recorded.found } = cause ?? {}
  const advice: string | undefined = adviceOf(code, cause)
  const isUnverified = cause?.found === undefined ? isCallersWord(stage, name) : cause.unverified === true
  return {
    name,
    outcome: 'failed',
    reason: cause?.reason ?? denials[code].description,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(found !== undefined && isUnverified ? { unverified: true } : {}),
    clause: sourceOf(code),
    ...(advice === undefined ? {} : { advice }),
  }
}

function sourceOf(code: DenialCode): string {
  return denials[code].source
}

function notReached(stage: Stage, name: string): ExplainedCheck {
  return { name, outcome: 'not_reached', clause: clauseOf(stage, name) }
}
