/** How often, or how much, a caller may use a route. */
export interface Limit {
  /**
   * Each token, agent, initiator, intent (the text that a person approved, by `intent_hash`) or workflow run
   * has its own counter.
   */
  per: 'token' | 'agent' | 'initiator' | 'intent' | 'run'
  /**
   * The largest sum of costs, or the JSON pointer of the claim that has it: a budget that the issuer has
   * signed.
   */
  max: number | string
  /** Seconds from the first request until the counter ends. Default: until the token expires. */
  window?: number
  /** Limits of one name, in several rules, are one counter. Default: a counter of this rule alone. */
  name?: string
  /** Whether a request is not counted after all if its handler answers with a 5xx status. Default `false`. */
  skipServerErrors?: boolean
}

/** A limit in a rule of `requireIntent` or `checkIntent`. */
export interface HandlerLimit<Request = never> extends Limit {
  /**
   * How much one request counts: a number, the JSON pointer of a claim, or a function of the framework's
   * request that returns the number, for sums of a request body. Default 1.
   */
  cost?: number | string | CostFunction<Request>
}

/** Gets `req` of Express, `ctx` of Koa, `c` of Hono or `request` of Fastify. */
export type CostFunction<Request = never> = (request: Request) => number | Promise<number>
