import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    dangerouslyIgnoreUnhandledErrors: false,
    // Hundreds of verifiers are made with a route in mode "observe": listeners still hear of it.
    execArgv: ['--disable-warning=AJWT_OBSERVE'],
  },
})
