// Package mayfly is the module's root: it holds no code, only the test of what
// may import what. Start reading at docs/architecture.md.
package mayfly
