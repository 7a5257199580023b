import { createConformanceApp } from './app.js'

let app: ReturnType<typeof createConformanceApp> | undefined

export default {
  fetch(request: Request, env: { TESTS: string }): Promise<Response> {
    app ??= createConformanceApp(env.TESTS)
    return app(request)
  },
}
