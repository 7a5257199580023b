// Runs before each test file.

// Makes a Response when it is loaded: of the wrong class once an app on Hono's server has replaced the
// global.
import '@hono/node-server/utils/response'
import fc from 'fast-check'

// Random tests have the same cases in every run, so that a failure is not by chance. `npm run test:soak`
// tries new seeds. A failure prints its seed: PROPERTY_SEED=... runs it again.
fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 20_261_128) })
