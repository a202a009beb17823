/**
 * Preloaded (`--import`) into a process whose clock shall be as far ahead as its chain, whose time a test moved on:
 * `TEST_CLOCK_AHEAD_SECONDS`.
 */
const ahead = Number(process.env['TEST_CLOCK_AHEAD_SECONDS'] ?? '0') * 1000
const now = Date.now.bind(Date)
Date.now = () => now() + ahead
