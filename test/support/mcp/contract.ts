import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Express } from 'express'
import type { Hono } from 'hono'
import type { McpEnv } from '../../../middleware/hono.js'

// How the tests and the packages of test/mcp meet. Only the files in test/mcp import the packages.

/** The person at the keyboard: opens an authorization URL and returns the parameters of the redirect. */
export type Authorize = (url: URL) => Promise<URLSearchParams>

export interface ConnectOptions {
  /** The URL of the MCP server. */
  readonly url: string
  readonly authorize: Authorize
  /** Asks for a DPoP-bound token. Only clients with `dpop` can. */
  readonly dpop?: boolean
  /** Uses a client ID metadata document instead of registration. */
  readonly clientMetadataUrl?: string
}

/** `code` of a call that a client did not send, because the server does not list the tool. */
export const UNLISTED = 1

/** How a tool call ended for the caller. */
export type Called =
  | { readonly kind: 'result'; readonly text: string; readonly isError: boolean; readonly meta: unknown }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'http'; readonly status: number; readonly message: string }

export interface McpConnection {
  readonly clientId: string
  /** The access token at hand. */
  readonly token: string
  /** `scope` of each authorization request, oldest first. */
  readonly requestedScopes: readonly string[]
  /** Undefined in the era without sessions. */
  readonly sessionId: string | undefined
  listTools(): Promise<string[]>
  /** Calls a tool. A step-up is authorized, and the call sent once more. */
  call(name: string, args: Readonly<Record<string, unknown>>): Promise<Called>
  close(): Promise<void>
}

export interface McpClientKind {
  readonly name: string
  readonly dpop: boolean
  /** Whether the client runs a new authorization after a 403 with `insufficient_scope`. */
  readonly stepUp: boolean
  /** Whether the client speaks the revision 2026-07-28 to a server that does. */
  readonly modern: boolean
  /** Connects, and runs the whole authorization flow where the server demands it. */
  connect(options: ConnectOptions): Promise<McpConnection>
}

/** The caller as a tool's handler saw it, as JSON in its text. */
export interface Seen {
  readonly tool: string
  readonly args: unknown
  /** The SDK's `authInfo`, with the agent of the grant in `extra.ajwt`. */
  readonly auth: {
    readonly clientId: string
    readonly scopes: readonly string[]
    readonly agent: string
    readonly token: string
  } | null
}

/** `AuthInfo` of both SDKs. */
export interface AuthInfo {
  token: string
  clientId: string
  scopes: string[]
  expiresAt?: number
  resource?: URL
  extra?: Record<string, unknown>
}

/** A request of Node's as middleware has left it. The SDKs also read its `auth`. */
export type NodeRequest = IncomingMessage & { body?: unknown }

export interface WebOptions {
  readonly authInfo?: AuthInfo
  readonly parsedBody?: unknown
}

/** The SDK's half of an MCP server, which is mounted after the middleware. */
export interface McpBackend {
  node(request: NodeRequest, response: ServerResponse): Promise<void>
  web(request: Request, options: WebOptions): Promise<Response>
  /** Names of the tools that ran, oldest first. */
  readonly ran: readonly string[]
  close(): Promise<void>
}

export interface LastingBackend extends McpBackend {
  /** How many tools still wait. */
  waiting(): number
}

export interface McpServerKind {
  readonly name: string
  readonly sdk: 1 | 2
  /** `modern` also serves clients of the older era, without sessions. */
  readonly era: 'sessions' | 'modern'
  start(): McpBackend
}

/** Empty apps with the SDKs' protection against DNS rebinding, and a JSON body parser. */
export interface McpApps {
  express1(): Express
  express2(): Express
  hono2(): Hono<McpEnv>
}

export interface McpPackages {
  readonly apps: McpApps
  readonly clients: readonly McpClientKind[]
  readonly servers: Readonly<Record<'sdk1' | 'sdk2' | 'modern', McpServerKind>>
  /** A server with all that the conformance suite asks for. */
  startEverything(): McpBackend
  /** The same for the revision 2026-07-28. */
  startEverythingModern(): McpBackend
  /** Sessions whose streams can be resumed, with the tool `wait`, which never answers. */
  startResumable(): McpBackend
  /** The tool `job`, which makes a task, without sessions. */
  startTasks(): McpBackend
  /** The tool `wait` in the era without sessions. */
  startModernLasting(): LastingBackend
}
