import type { Decision } from '../decision.js'
import type { Engine } from '../engine.js'
import type { AuthorizedRequest } from '../grant.js'
import { sharedInProcess } from '../lib/copies.js'
import { Refusal } from '../refusal.js'
import { type ChallengeContext, toDenial } from '../response/www-authenticate.js'

/** A decision of an `ajwt` middleware, and the request that it was made on. */
export interface CachedDecision {
  /** Of the policy that the request began with. */
  readonly engine: Engine
  readonly method: string
  readonly path: string | undefined
  /**
   * The route that the framework had matched, with its parameters. Undefined if the verifier matches paths.
   */
  readonly route: string | undefined
  readonly decision: Promise<Decision>
  /** Set when the request is allowed with a grant. */
  authorized: AuthorizedRequest | undefined
}

/** The latest decision on each request, for middleware further down. */
export const latestDecisions = sharedInProcess(
  'latest decisions',
  () => new WeakMap<object, CachedDecision>(),
)

/** For a denial without a policy. A 503 has no challenge. */
const noPolicy: ChallengeContext = {
  proofAlgorithms: '',
  resourceMetadata: undefined,
  isBearerAllowed: false,
  areIntentsTold: false,
}

/** The denial where no `ajwt` middleware has seen the request. */
export const internalError = toDenial(new Refusal('internal_error'), 'request', noPolicy, undefined)
