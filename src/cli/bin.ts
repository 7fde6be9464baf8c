#!/usr/bin/env node
/**
 * The entry of the command `auditlog`.
 *
 * @since 0.1.0
 */
import { main } from "./Cli.ts"

main()
