/// <reference lib="dom" />
/** Light, dark, or as the system says; set before the first paint and remembered by the browser. */

const KEY = 'tollway-theme'
const THEMES = ['system', 'light', 'dark'] as const

type Theme = (typeof THEMES)[number]

/** What is chosen. */
export function theme(): Theme {
  const kept = read()
  return THEMES.find((known) => known === kept) ?? 'system'
}

/** Chooses the one after the present one. */
export function nextTheme(): Theme {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] ?? 'system'
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // A browser that keeps nothing shows it until the page is closed.
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
