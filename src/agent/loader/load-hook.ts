import type { MessagePort } from 'node:worker_threads'

// Node runs this module in a thread of its own, and asks it for each ES module.

type Load = (url: string, context: object) => Promise<{ format: string; source?: unknown }>

let port: MessagePort | undefined

export function initialize(data: { readonly port: MessagePort }): void {
  port = data.port
}

/** Sends the source to the main thread before the module can run there. */
export async function load(url: string, context: object, nextLoad: Load) {
  const result = await nextLoad(url, context)
  const { format, source } = result
  port?.postMessage({ url, loaded: { format, source } })
  return result
}
