import { toDenial } from './challenge.js'
import type { Decision, Denial, Grant } from './decision.js'
import { algorithms } from './jose/algorithms.js'
import { isMetadataRequest } from './metadata.js'
import type { VerifierOptions } from './options.js'
import { checkRule } from './policy/compile.js'
import { PolicyError } from './policy/error.js'
import type { Policy, RouteRule } from './policy/policy.js'
import type { VerifyRequest } from './request.js'
import { createVerifier, internalsOf, type Verifier } from './verifier.js'

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
}

/** What each verifier has decided, by the framework's request: one that is mounted twice decides once. */
const rulingsByVerifier = new WeakMap<Verifier, WeakMap<object, Ruling>>()

/** The latest ruling on each request, for `requireIntent` further down. */
const latest = new WeakMap<object, Ruling>()

const goOn: Passage = Object.freeze({ kind: 'continue', grant: undefined, headers: Object.freeze({}) })

/** Makes a gate of a policy, or of a verifier that was made before. */
export function createGate(policyOrVerifier: Policy | Verifier, options?: VerifierOptions): Gate {
  const verifier = toVerifier(policyOrVerifier, options)
  const compiled = internalsOf(verifier)?.compiled
  const rulings = rulingsOf(verifier)

  return {
    verifier,
    async pass(source, request) {
      const path = request.routing?.path ?? request.url
      if (compiled !== undefined && isMetadataRequest(compiled, request.method, path))
        return metadataOf(verifier)
      const method = request.routing?.method ?? request.method
      const earlier = rulings.get(source)
      if (earlier !== undefined && (earlier.method !== method || earlier.path !== path)) {
        // Something on the way has changed what will be looked up: the rule that was applied is not its rule.
        return toPassage(refusal(verifier, 'route_not_declared'))
      }
      const ruling: Ruling = earlier ?? { verifier, method, path, decision: verifier.verify(request) }
      rulings.set(source, ruling)
      latest.set(source, ruling)
      return toPassage(await ruling.decision)
    },
  }
}

/** One more rule for requests that some gate has let in. Throws a PolicyError where the rule is wrong. */
export function createRuleGate(rule: RouteRule): (source: object, params: unknown) => Promise<Passage> {
  const data = checkRule(rule)
  return async (source, params) => {
    const ruling = latest.get(source)
    const decision = await ruling?.decision
    if (ruling === undefined || decision === undefined)
      return toPassage(refusal(undefined, 'credentials_missing'))
    if (decision.outcome === 'allow') {
      const own = internalsOf(ruling.verifier)
      if (own !== undefined)
        return toPassage(await own.applyRule(decision.grant, data, toParams(params), ruling.method))
    }
    if (decision.outcome === 'observe' || (decision.outcome === 'anonymous' && data.anonymous === true))
      return goOn
    const mode = data.mode ?? ruling.verifier.policy.mode ?? 'enforce'
    return mode === 'observe' ? goOn : toPassage(refusal(ruling.verifier, 'credentials_missing'))
  }
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
  if (decision.outcome !== 'deny') return goOn
  const { status, headers, body } = decision
  return { kind: 'answer', answer: { status, headers, body: JSON.stringify(body) }, denial: decision }
}

function refusal(verifier: Verifier | undefined, code: 'credentials_missing' | 'route_not_declared'): Denial {
  const context = verifier && internalsOf(verifier)?.compiled.challenge
  const withoutPolicy = {
    proofAlgorithms: [...algorithms.keys()].join(' '),
    resourceMetadata: undefined,
    isBearerAllowed: false,
  }
  return toDenial({ code, stage: 'rule' }, context ?? withoutPolicy, undefined)
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
