import { type ChallengeContext, toDenial } from './challenge.js'
import { sharedByCopies } from './copies.js'
import type { Decision, Denial, Grant } from './decision.js'
import { isMetadataRequest } from './metadata.js'
import { warnOfObservingRule } from './observing.js'
import type { VerifierOptions } from './options.js'
import { checkRule } from './policy/compile.js'
import { PolicyError } from './policy/error.js'
import type { Policy, RouteRule } from './policy/policy.js'
import { defaultProofAlgorithmNames } from './protocol/algorithms.js'
import { describe, Refusal } from './refusal.js'
import type { VerifyRequest } from './request.js'
import { consumedBy } from './stores/shared-replay.js'
import { countRequest } from './turn.js'
import { createVerifier, type Heard, internalsOf, type Verifier, type VerifierInternals } from './verifier.js'

export { fieldsOf } from './request.js'

/** What an adapter does with a request: answer it, or let it go on, with a grant or without. */
export type Passage =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly denial: Denial | undefined }
  | {
      readonly kind: 'continue'
      readonly grant: Grant | undefined
      readonly headers: Readonly<Record<string, string>>
    }

/** A response, ready to be sent. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

/** What every adapter stands on; a framework's own request object tells requests apart. */
export interface Gate {
  readonly verifier: Verifier
  pass(source: object, request: VerifyRequest): Promise<Passage>
}

interface Ruling {
  readonly verifier: Verifier
  readonly method: string
  readonly path: string | undefined
  readonly decision: Promise<Decision>
  /** Who was let in, once that is decided. */
  heard: Heard | undefined
}

/** What each verifier has decided, by the framework's request: one that is mounted twice decides once. */
const rulingsByVerifier = sharedByCopies('rulings', () => new WeakMap<Verifier, WeakMap<object, Ruling>>())

/** The latest ruling on each request, for `requireIntent` further down. */
const latest = sharedByCopies('latest rulings', () => new WeakMap<object, Ruling>())

const goOn: Passage = Object.freeze({ kind: 'continue', grant: undefined, headers: Object.freeze({}) })

/** Makes a gate of a policy, or of a verifier that was made before. */
export function createGate(policyOrVerifier: Policy | Verifier, options?: VerifierOptions): Gate {
  const verifier = toVerifier(policyOrVerifier, options)
  const own = internalsOf(verifier) as VerifierInternals
  const rulings = rulingsOf(verifier)

  function judge(source: object, request: VerifyRequest, method: string, path: string): Ruling {
    const decision = own.judge(request, consumedBy(source), (heard) => {
      ruling.heard = heard
    })
    const ruling: Ruling = { verifier, method, path, decision, heard: undefined }
    return ruling
  }

  return {
    verifier,
    async pass(source, request) {
      const { routing } = request
      const path = (routing !== undefined && 'path' in routing ? routing.path : undefined) ?? request.url
      const method = request.routing?.method ?? request.method
      if (isMetadataRequest(own.compiled, request.method, path)) return metadataOf(verifier)
      const earlier = rulings.get(source)
      if (earlier !== undefined && (earlier.method !== method || earlier.path !== path)) {
        // Something on the way has changed what will be looked up: the rule that was applied is not its rule.
        const refusal = new Refusal('route_not_declared', {
          reason: 'path or method was rewritten after the first ajwt on the way had decided',
          expected: describe(`${earlier.method} ${earlier.path}`),
          found: describe(`${method} ${path}`),
          unverified: true,
        })
        const mode = own.compiled.isObservedThroughout ? undefined : 'enforce'
        return toPassage(own.refuse('rule', refusal, method, await earlier.decision, mode))
      }
      // A second verifier on its way makes no second request of it.
      if (!latest.has(source)) countRequest()
      const ruling = earlier ?? judge(source, request, method, path)
      rulings.set(source, ruling)
      latest.set(source, ruling)
      return toPassage(await ruling.decision)
    },
  }
}

/** One more rule for requests that some gate has let in. Throws a PolicyError where the rule is wrong. */
export function createRuleGate(rule: RouteRule): (source: object, params: unknown) => Promise<Passage> {
  const data = checkRule(rule)
  warnOfObservingRule(data)
  const missing = new Refusal('credentials_missing', { reason: 'requireIntent needs a grant' })
  return async (source, params) => {
    const ruling = latest.get(source)
    if (ruling === undefined)
      return data.mode === 'observe' ? goOn : toPassage(toDenial(missing, 'request', noPolicy, undefined))
    const decision = await ruling.decision
    const own = internalsOf(ruling.verifier) as VerifierInternals
    if (ruling.heard !== undefined) {
      return toPassage(await own.applyRule(ruling.heard, data, toParams(params), ruling.method))
    }
    if (decision.outcome === 'anonymous' && data.anonymous === true) return goOn
    // What was let through to be observed goes on, unless this very rule is to be enforced.
    const mode = data.mode ?? (decision.outcome === 'observe' ? 'observe' : undefined)
    return mode === 'observe'
      ? goOn
      : toPassage(own.refuse('request', missing, ruling.method, decision, mode))
  }
}

/** What can be said in a challenge where no `ajwt` stands before `requireIntent`. */
const noPolicy: ChallengeContext = {
  proofAlgorithms: defaultProofAlgorithmNames.join(' '),
  resourceMetadata: undefined,
  isBearerAllowed: false,
}

function toVerifier(policyOrVerifier: Policy | Verifier, options: VerifierOptions | undefined): Verifier {
  if (internalsOf(policyOrVerifier) === undefined) {
    return createVerifier(policyOrVerifier as Policy, options)
  }
  if (options !== undefined && Object.keys(options).length > 0) {
    throw new PolicyError([
      { path: 'options', message: 'belong to createVerifier where a verifier is given' },
    ])
  }
  return policyOrVerifier as Verifier
}

function rulingsOf(verifier: Verifier): WeakMap<object, Ruling> {
  const rulings = rulingsByVerifier.get(verifier) ?? new WeakMap<object, Ruling>()
  rulingsByVerifier.set(verifier, rulings)
  return rulings
}

function toPassage(decision: Decision): Passage {
  if (decision.outcome === 'allow')
    return { kind: 'continue', grant: decision.grant, headers: decision.headers }
  if (decision.outcome === 'observe')
    return { kind: 'continue', grant: undefined, headers: nonceOf(decision.headers) }
  if (decision.outcome !== 'deny') return goOn
  const { status, headers, body } = decision
  return { kind: 'answer', answer: { status, headers, body: JSON.stringify(body) }, denial: decision }
}

/** Clients learn the nonce while refusals are only observed, so that they have it once they are enforced. */
function nonceOf(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const nonce = headers['dpop-nonce']
  return nonce === undefined ? {} : { 'dpop-nonce': nonce, 'cache-control': 'no-store' }
}

function metadataOf(verifier: Verifier): Passage {
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' }
  const answer = { status: 200, headers, body: JSON.stringify(verifier.metadata()) }
  return { kind: 'answer', answer, denial: undefined }
}

/** Whatever the framework calls the parameters of the handler: only text can be compared with a claim. */
function toParams(params: unknown): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(params ?? {})) if (typeof value === 'string') texts[name] = value
  return texts
}
