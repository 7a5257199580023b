import type { Denial } from '../decision.js'
import { oneErrorForCopies } from '../lib/copies.js'

/**
 * A refusal as an `Error`, for an app's own error handling: thrown, or handed to `next`, it is answered with its
 * status and header fields by Express, Koa, Hono and everything that reads what `http-errors` writes.
 */
export class AjwtDenial extends Error implements Denial {
  static {
    oneErrorForCopies(AjwtDenial, 'AjwtDenial')
  }
  declare readonly error?: NonNullable<Denial['error']>
  declare readonly route?: string
  readonly outcome = 'deny'
  readonly code: Denial['code']
  readonly stage: Denial['stage']
  readonly status: number
  /** The same as `status`, under the name that some frameworks read. */
  readonly statusCode: number
  readonly description: string
  /** Response header fields, names in lower case: the challenge is one of them. */
  readonly headers: Denial['headers']
  readonly body: Denial['body']
  /** Whether the message may be sent to the caller: always, it is fixed text. */
  readonly expose = true

  constructor(denial: Denial) {
    super(denial.description)
    this.code = denial.code
    this.stage = denial.stage
    this.status = denial.status
    this.statusCode = denial.status
    this.description = denial.description
    this.headers = denial.headers
    this.body = denial.body
    if (denial.error !== undefined) this.error = denial.error
    if (denial.route !== undefined) this.route = denial.route
  }

  /** The answer that the middleware would have given. Hono's default error handler sends it. */
  getResponse(): Response {
    return new Response(JSON.stringify(this.body), { status: this.status, headers: this.headers })
  }
}

Object.defineProperty(AjwtDenial.prototype, 'name', { value: 'AjwtDenial' })
