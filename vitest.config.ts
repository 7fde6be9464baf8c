import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** What takes minutes begins first: begun last, one worker would wait for it alone. */
const longest = ["faults/simulation.test.ts", "faults/soak.test.ts", "faults/shipping.test.ts"]

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const sorted = await super.sort(files)
    const place = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(name))
      return at < 0 ? longest.length : at
    }
    return sorted.toSorted((a, b) => place(a) - place(b))
  }
}

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: "test/bundleCommand.ts",
    sequence: { sequencer: LongestFirst },
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
