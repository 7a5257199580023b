/** Something that is there already, or will be. */
export type Maybe<T> = T | Promise<T>

/** What async functions give, whatever stands in for the global `Promise` by now. */
const Native = (async () => {})().constructor as PromiseConstructor

/**
 * Whether it has to be waited for: on the way of every request, what is there already is not. Of what this library's own
 * code gives only; looking for a `then` in objects of so many kinds would take longer.
 */
export function isPromise<T>(value: Maybe<T>): value is Promise<T> {
  return value instanceof Native || value instanceof Promise
}

/** The same of what somebody else's code gives. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

/** Seconds after which an answer that somebody else's code owes is given up. */
export const patience = 5

/** What the promise gives, or a rejection after so many seconds: nothing that is waited for may wait for ever. */
export function withDeadline<T>(promise: PromiseLike<T>, seconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), Math.ceil(seconds * 1000))
    timer.unref?.()
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
