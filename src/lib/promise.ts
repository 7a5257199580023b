/** Something that is there already, or will be. */
export type MaybePromise<T> = T | Promise<T>

/** Whether it has to be waited for: on the way of every request, what is there already is not. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}

/** Seconds after which an answer that somebody else's code owes is given up. */
export const STORE_TIMEOUT_SECONDS = 5

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
