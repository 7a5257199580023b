import { testCore } from '../support/conformance/core.js'

testCore(
  'a Fetch Headers',
  (headers) => {
    const fetchHeaders = new Headers()
    try {
      for (const [name, value] of headers) fetchHeaders.append(name, value)
    } catch {
      // Fetch itself refuses such a value: no Request can hold it.
      return undefined
    }
    return fetchHeaders
  },
  { isShared: true },
)
