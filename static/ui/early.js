// Before anything is painted, so that nothing flashes: what this browser remembers, as data of the root.
"use strict";
for (const choice of ["theme", "keys"]) {
  try {
    const kept = localStorage.getItem(choice);
    if (kept) document.documentElement.dataset[choice] = kept;
  } catch {
    // Not allowed to remember anything: as the system has it.
  }
}
