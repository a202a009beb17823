/// <reference lib="dom" />
/** Light, dark or the system's theme; set before the first paint and remembered by the browser. */

const KEY = 'tollway-theme'
const THEMES = ['system', 'light', 'dark'] as const

type Theme = (typeof THEMES)[number]

/** The selected theme. */
export function theme(): Theme {
  const kept = read()
  return THEMES.find((known) => known === kept) ?? 'system'
}

/** Selects the next theme. */
export function nextTheme(): Theme {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] ?? 'system'
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // A browser without storage keeps the theme until the page is closed.
  }
  show(next)
  return next
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}

function show(chosen: Theme): void {
  const { dataset } = document.documentElement
  if (chosen === 'system') delete dataset['theme']
  else dataset['theme'] = chosen
}

show(theme())
