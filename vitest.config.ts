import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: "test/bundleCommand.ts",
    // `npm test` runs the first, `npm run test:faults` the second
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: ["test/faults/**", "node_modules/**"]
        }
      },
      { extends: true, test: { name: "faults", include: ["test/faults/**/*.test.ts"] } }
    ]
  }
})
