import { parseText } from '../http/grammar.js'
import type { ResolvedIntent } from '../workflow/intent.js'
import { type AuthorizationOptions, createCodeGrant } from './authorization-code.js'
import type { TokenEndpoint } from './token-endpoint.js'
import { ACCESS_TOKEN_TYPE, type AccessToken, requestToken } from './token-request.js'

/** The grants of the client: A-JWT, RFC 6749 section 4.4, RFC 8693, RFC 6749 section 4.1 with RFC 7636. */
export type GrantType = 'agent_checksum' | 'client_credentials' | 'token-exchange' | 'authorization_code'

export const grantTypes: readonly GrantType[] = [
  'agent_checksum',
  'client_credentials',
  'token-exchange',
  'authorization_code',
]

export interface GrantOptions {
  /** For `token-exchange`: the token to exchange, or a function that returns the current one. */
  subjectToken?: string | (() => string | Promise<string>) | undefined
  /** RFC 8693 section 3. Default: that of an access token. */
  subjectTokenType?: string | undefined
  /** For `authorization_code`. */
  authorization?: AuthorizationOptions | undefined
  /** Further parameters of each token request, for example `audience` of Auth0. */
  tokenParameters?: Readonly<Record<string, string>> | undefined
}

/** How the tokens of a client are requested. */
export interface Grant {
  /** Adds what the intent does not have itself. Rejects an intent that the grant cannot carry. */
  prepare(intent: ResolvedIntent): Promise<ResolvedIntent>
  /** The form fields. Equal for equal intents. */
  parameters(intent: ResolvedIntent, checksum: string): URLSearchParams
  /** `fresh`: a token that no other request has used. */
  request(intent: ResolvedIntent, checksum: string, fresh: boolean): Promise<AccessToken>
  /** Forgets a token that an API has refused. */
  drop(token: string): void
}

/** @throws TypeError naming the option that is wrong */
export function createGrant(type: GrantType, endpoint: TokenEndpoint, options: GrantOptions): Grant {
  if (type === 'agent_checksum') return checksumGrant(endpoint)
  const { subjectToken, subjectTokenType = ACCESS_TOKEN_TYPE, authorization } = options
  parseText(subjectTokenType, 'subjectTokenType')
  const extra = Object.entries(options.tokenParameters ?? {})
  for (const [name, value] of extra) {
    parseText(value, `tokenParameters.${name}`)
    if (reserved.has(name)) throw new TypeError(`tokenParameters.${name} is set by the client: leave it out`)
  }

  const fromOption = new WeakSet<ResolvedIntent>()
  const parameters = (intent: ResolvedIntent) =>
    form({
      grant_type: intent.subjectToken ? TOKEN_EXCHANGE : type,
      scope: intent.scope.join(' '),
      resource: intent.resource,
      // `actAs` exchanges an access token, whatever the option says of its own.
      ...exchange(intent.subjectToken, fromOption.has(intent) ? subjectTokenType : ACCESS_TOKEN_TYPE),
      ...Object.fromEntries(extra),
    })
  const plain: Grant = {
    async prepare(intent) {
      refuseContext(intent, type)
      if (type !== 'token-exchange' || intent.subjectToken !== undefined) return intent
      const value = typeof subjectToken === 'function' ? await subjectToken() : subjectToken
      if (value === undefined)
        throw new TypeError('the grant token-exchange needs the option subjectToken, or client.actAs')
      const prepared = { ...intent, subjectToken: parseText(value, 'subjectToken') }
      fromOption.add(prepared)
      return prepared
    },
    parameters,
    request: (intent) => requestToken(endpoint, { intent, body: () => parameters(intent), isExact: false }),
    drop: () => {},
  }
  if (type !== 'authorization_code') return plain
  const code = createCodeGrant(endpoint, authorization, parameters)
  return {
    ...plain,
    drop: code.drop,
    // `actAs` exchanges the token of its caller, whatever the client's own grant is.
    request: (intent, checksum, fresh) =>
      intent.subjectToken ? plain.request(intent, checksum, fresh) : code.request(intent, fresh),
  }
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const reserved = new Set([
  ...['grant_type', 'scope', 'resource', 'client_id', 'client_secret', 'client_assertion'],
  ...['client_assertion_type', 'subject_token', 'subject_token_type', 'requested_token_type'],
  ...['code', 'code_verifier', 'redirect_uri', 'refresh_token'],
])

function exchange(subjectToken: string | undefined, type: string) {
  return {
    subject_token: subjectToken,
    subject_token_type: subjectToken && type,
    requested_token_type: subjectToken && ACCESS_TOKEN_TYPE,
  }
}

/** Only `subject_token` is secret. */
function form(fields: Readonly<Record<string, string | undefined>>): URLSearchParams {
  return new URLSearchParams(
    Object.entries(fields).filter((entry): entry is [string, string] => Boolean(entry[1])),
  )
}

/** A server without the agent_checksum grant would issue a token without these members. */
function refuseContext({ workflow, step, hash, chain }: ResolvedIntent, type: GrantType): void {
  const found =
    (workflow !== undefined && 'workflow') ||
    (step !== undefined && 'step') ||
    (hash !== undefined && 'hash') ||
    (chain.length > 0 && 'delegation')
  if (found === false) return
  throw new TypeError(
    `the grant ${type} carries no ${found}: leave it out, or use an authorization server with the grant agent_checksum`,
  )
}

function checksumGrant(endpoint: TokenEndpoint): Grant {
  const parameters = ({ subjectToken, chain, ...intent }: ResolvedIntent, checksum: string) =>
    form({
      grant_type: subjectToken ? TOKEN_EXCHANGE : 'urn:ietf:params:oauth:grant-type:agent_checksum',
      agent_id: endpoint.agentId,
      agent_checksum: checksum,
      scope: intent.scope.join(' '),
      resource: intent.resource,
      workflow_id: intent.workflow,
      workflow_step: intent.step,
      // Without a step the completed steps have no meaning.
      completed_steps: intent.step && intent.completedSteps,
      intent_hash: intent.hash,
      delegation: chain.map((hop) => hop.assertion).join(' '),
      ...exchange(subjectToken, ACCESS_TOKEN_TYPE),
    })
  const body = (intent: ResolvedIntent, checksum: string) => {
    const body = parameters(intent, checksum)
    const { run } = intent
    if (run?.id === undefined) return body
    body.set('run_id', run.id)
    if (run.failedSteps !== '') body.set('failed_steps', run.failedSteps)
    return body
  }
  return {
    prepare: async (intent) => intent,
    parameters,
    request: (intent, checksum) =>
      requestToken(endpoint, { intent, body: () => body(intent, checksum), isExact: true }),
    drop: () => {},
  }
}
