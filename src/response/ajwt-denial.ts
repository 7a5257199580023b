import type { Denial } from '../decision.js'
import { brandError } from '../lib/copies.js'

/**
 * A denial as an `Error`, for `throw` or `next(error)`. The error handlers of Express, Koa and Hono use its
 * status and headers, like those of an `http-errors` error.
 */
export class AjwtDenial extends Error implements Denial {
  static {
    brandError(AjwtDenial, 'AjwtDenial')
  }
  declare readonly error?: NonNullable<Denial['error']>
  declare readonly route?: string
  readonly outcome = 'deny'
  readonly code: Denial['code']
  readonly stage: Denial['stage']
  readonly status: number
  /** Equal to `status`. Some frameworks read this name. */
  readonly statusCode: number
  readonly description: string
  /** Response header fields, with the `WWW-Authenticate` challenge. Names are in lower case. */
  readonly headers: Denial['headers']
  readonly body: Denial['body']
  /** `http-errors` convention: the message may be sent to the client. It is fixed text. */
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

  /** The response that the middleware sends. Hono's default error handler calls this method. */
  getResponse(): Response {
    return new Response(JSON.stringify(this.body), { status: this.status, headers: this.headers })
  }
}

Object.defineProperty(AjwtDenial.prototype, 'name', { value: 'AjwtDenial' })
