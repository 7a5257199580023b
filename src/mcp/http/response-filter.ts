import type { Answer } from '../../decision.js'
import type { MaybePromise } from '../../lib/promise.js'
import { mediaTypeOf } from '../../request/content.js'

/** Status and fields of a response, before they are sent. */
export interface ResponseHead {
  readonly status: number
  /** The values of a field, joined by commas. Undefined if the response does not have it. */
  field(name: string): string | undefined
}

/** How the body of a response is treated. */
export type BodyFilter =
  /** The body is collected. An answer replaces the response. */
  | { readonly kind: 'whole'; check(body: Uint8Array): MaybePromise<Answer | undefined> }
  /** Each part is sent once `check` resolves to true. False ends the body in front of it. */
  | { readonly kind: 'parts'; check(part: Uint8Array): MaybePromise<boolean> }

/** Ends a body of kind `parts` early, with some last bytes. Later writes of the app are dropped. */
export type Cut = (last?: Uint8Array) => void

/** Looks at a response of the app before it is sent. */
export interface ResponseFilter {
  /** An answer replaces the response. Undefined sends it as it is. */
  head(response: ResponseHead, cut: Cut): MaybePromise<Answer | BodyFilter | undefined>
  /** Called once the response is over: sent, cut, or given up by the client. Not if `head` was not called. */
  closed?(): void
}

export function isAnswer(action: Answer | BodyFilter): action is Answer {
  return 'status' in action
}

/** Whether a response is a stream of server-sent events. */
export function isEventStream(head: ResponseHead): boolean {
  return mediaTypeOf(head) === 'text/event-stream'
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
