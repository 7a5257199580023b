import type { Denial } from '../decision.js'
import { oneErrorForCopies } from '../lib/copies.js'

/**
 * A denial as an `Error`. Thrown, or passed to `next`, it reaches the error handling of Express, Koa and Hono with its
 * status and headers, as an error of `http-errors` does.
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
  /** The same as `status`: some frameworks read this name. */
  readonly statusCode: number
  readonly description: string
  /** Response headers, names in lower case, with the `WWW-Authenticate` challenge. */
  readonly headers: Denial['headers']
  readonly body: Denial['body']
  /** The message is fixed text and can be sent to the caller. */
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

  /** The response of the middleware. Hono's default error handler sends it. */
  getResponse(): Response {
    return new Response(JSON.stringify(this.body), { status: this.status, headers: this.headers })
  }
}

Object.defineProperty(AjwtDenial.prototype, 'name', { value: 'AjwtDenial' })
