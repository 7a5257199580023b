/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>

/** Whether a value is a promise. Checks for `then`, because a host may replace the global `Promise`. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Seconds to wait for a store, or for a callback of the application. */
export const STORE_TIMEOUT_SECONDS = 5

/** Rejects if the promise has not settled after `seconds`. */
export function withDeadline<T>(
  promise: PromiseLike<T>,
  seconds: number,
  createError = () => new Error(`no answer within ${seconds} s`),
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(createError()), Math.ceil(seconds * 1000))
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
