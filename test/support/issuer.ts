import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import {
  type CallOverrides,
  createKit,
  ISSUER,
  issuerKeys,
  type Kit,
  published,
  rename,
  type TestKey,
} from '../../fixtures/kit.js'
import {
  createVerifier,
  type Decision,
  type IssuerPolicy,
  type Verifier,
  type VerifierOptions,
} from '../../src/index.js'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** The web server of an issuer on loopback. Its handler can be replaced at any time. */
export interface IssuerServer {
  readonly origin: string
  /** Paths of all requests, in order. */
  readonly requestedPaths: string[]
  handler: Handler
}

/** Calls `close` at the end of the test. */
export function atEnd(close: () => unknown): void {
  onTestFinished(async () => {
    await close()
  })
}

export async function startServer(handler: Handler): Promise<IssuerServer> {
  const requestedPaths: string[] = []
  const server = createServer((request, response) => {
    requestedPaths.push(request.url as string)
    issuer.handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: IssuerServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requestedPaths,
    handler,
  }
  atEnd(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return issuer
}

/** Responds with a JWKS of these keys. */
export function serve(...keys: TestKey[]): Handler {
  return answer(200, JSON.stringify({ keys: keys.map((key) => published(key)) }))
}

export function answer(status: number, body: string | Buffer, headers: Record<string, string> = {}): Handler {
  return (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }
}

/** Closes the connection without a response. */
export const cut: Handler = (request) => request.socket.destroy()

/** Never responds. */
export const hang: Handler = () => {}

/** A verifier with the clock of the kit. It is closed at the end of the test. */
export function verifierOf(
  kit: Kit,
  issuer: Partial<IssuerPolicy> | IssuerPolicy[],
  options: VerifierOptions = {},
): Verifier {
  const verifier = createVerifier(
    { ...defaultPolicy(), issuer: Array.isArray(issuer) ? issuer : { url: ISSUER, ...issuer } },
    { now: () => kit.now, ...options },
  )
  atEnd(() => verifier.close())
  return verifier
}

export function decide(verifier: Verifier, kit: Kit, over: CallOverrides = {}): Promise<Decision> {
  const { method, url, headers } = kit.call(over)
  return verifier.verify({ method, url, headers: Object.fromEntries(headers) })
}

/**
 * A kit with helpers for verifiers of its requests. `outcomeOf` returns the code of a denial, or the outcome.
 */
export function createKeysKit() {
  const kit = createKit()
  return {
    kit,
    verifierOf: (issuer: Partial<IssuerPolicy> | IssuerPolicy[], options?: VerifierOptions) =>
      verifierOf(kit, issuer, options),
    decide: (verifier: Verifier, over?: CallOverrides) => decide(verifier, kit, over),
    async outcomeOf(verifier: Verifier, over?: CallOverrides): Promise<string> {
      const decision = await decide(verifier, kit, over)
      return 'code' in decision ? decision.code : decision.outcome
    },
    withUnknownKid: (): CallOverrides => signedWith(rename(issuerKeys.stranger, 'ES256', kit.id())),
  }
}

export const signedWith = (key: TestKey): CallOverrides => ({ token: { key } })

/** A token with a known kid, signed with another key. */
export const forged = (): CallOverrides => signedWith({ ...issuerKeys.stranger, kid: issuerKeys.es256.kid })

/** Waits until the check succeeds, for background work without an event at its end. */
export async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('the check did not succeed within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
