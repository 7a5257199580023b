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

/** An answer that is there already is not waited for. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}
