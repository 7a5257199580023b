/**
 * `npm run bench`: what verification costs, alone, through HTTP and against others, how that grows, and what it keeps
 * in memory. Writes `bench/results.md`. Every contender is made to accept what is good and to refuse what is bad
 * before it is measured. The soak is a program of its own.
 */
import { growthSection } from './parts/growth.js'
import { httpSection, placeSection } from './parts/http.js'
import { memorySection } from './parts/memory.js'
import { commit, createReport, fixed, machine, versionOf } from './parts/report.js'
import { verifySection } from './parts/verify.js'

const began = performance.now()
const report = createReport('bench', 'results.md', 'What verification costs')
const others = [
  'express',
  'koa',
  'hono',
  '@hono/node-server',
  'autocannon',
  'express-oauth2-jwt-bearer',
  'oauth4webapi',
  'jose',
]
report.text(
  `Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, of commit ${commit()}: ${machine()}.`,
  `With ${others.map((name) => `${name} ${versionOf(name)}`).join(', ')}.`,
  'A machine with other work to do gives other times; the ratios hold better than the times do, since whatever is ' +
    'compared took turns.',
)
await memorySection(report)
await verifySection(report)
await placeSection(report)
await httpSection(report)
await growthSection(report)
report.text(`All of it took ${fixed((performance.now() - began) / 60_000)} minutes.`)
report.write()
// Keys that are fetched keep connections open.
process.exit()
