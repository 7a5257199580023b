import { isHttpUrl, isSecureUrl } from '../lib/url.js'
import { PolicyError } from '../policy/error.js'
import type { Authorize, AuthorizeContext } from './authorize.js'

/** A request to a decision point (OpenID AuthZEN Authorization API 1.0 section 6.1). */
export interface AuthzenRequest {
  readonly subject: { readonly type: string; readonly id: string; readonly properties?: object }
  readonly action: { readonly name: string; readonly properties?: object }
  readonly resource: { readonly type: string; readonly id: string; readonly properties?: object }
  readonly context?: object
}

export interface AuthzenOptions {
  /**
   * The decision point, such as `https://pdp.example.com`, or its endpoint, a URL that ends in `/evaluation`.
   */
  readonly url: string
  /** Sent as Bearer token. */
  readonly token?: string
  /**
   * The request for a context. Default: the agent as subject, the method as action, the route as resource.
   */
  readonly request?: (context: AuthorizeContext) => AuthzenRequest
  /** Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch
}

const PATH = '/access/v1/evaluation'

/**
 * A hook `authorize` that asks a decision point (OpenID AuthZEN 1.0): OpenFGA, Cerbos, OPA, Cedar or
 * Keycloak. Any answer but 200 with a `decision` of true or false denies with 503. Throws a PolicyError for a
 * URL that is neither https nor on loopback.
 */
export function authzen({ url, token, request = toRequest, fetch }: AuthzenOptions): Authorize {
  if (typeof url !== 'string' || !isHttpUrl(url) || !isSecureUrl(url, false)) {
    const message = 'must be an https URL (http on loopback only): it decides who may call'
    throw new PolicyError([{ path: 'authzen.url', message }])
  }
  const endpoint = new URL(url)
  if (!endpoint.pathname.endsWith('/evaluation'))
    endpoint.pathname = `${endpoint.pathname.replace(/\/+$/, '')}${PATH}`
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  return async (context) => {
    const ask = fetch ?? globalThis.fetch
    const body = JSON.stringify(request(context))
    // The decision of another host is not that of the decision point.
    const response = await ask(endpoint, {
      method: 'POST',
      headers,
      body,
      redirect: 'error',
      signal: context.signal,
    })
    if (response.status !== 200) throw new Error(`the decision point answered ${response.status}`)
    const answer: unknown = await response.json()
    const { decision, context: more } = (answer ?? {}) as { decision?: unknown; context?: unknown }
    if (typeof decision !== 'boolean') throw new Error('the decision point answered without a decision')
    const reason = reasonOf(more)
    return reason === undefined ? { allow: decision } : { allow: decision, reason }
  }
}

function toRequest({ grant, route, params, method }: AuthorizeContext): AuthzenRequest {
  const { issuer, agent, intent, scopes, subject, delegation } = grant
  return {
    subject: {
      type: 'agent',
      id: agent.id,
      properties: {
        issuer,
        subject,
        checksum: agent.checksum,
        registration_id: agent.registrationId,
        initiated_by: intent.initiatedBy,
        initiator_type: intent.initiatorType,
        scopes,
      },
    },
    action: { name: method },
    resource: { type: 'route', id: route ?? '*', properties: params },
    context: {
      workflow_id: intent.workflowId,
      workflow_step: intent.step,
      intent_hash: intent.hash,
      run_id: intent.runId,
      delegation: delegation.map(({ from, to }) => ({ from, to })),
    },
  }
}

/** `context` is free in form. Most decision points put the reason here. */
function reasonOf(context: unknown): string | undefined {
  if (typeof context !== 'object' || context === null || !('reason' in context)) return undefined
  return typeof context.reason === 'string' ? context.reason : undefined
}
