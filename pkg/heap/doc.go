// Package heap keeps the memory of a program that mostly forwards: it collects garbage seldom, and
// gives back what a rush has left.
//
// What surprises: the reserve that makes the collector come seldom also makes the runtime keep what
// it has, up to twice the reserve: its own scavenger leaves alone what the next collection may need.
// So a program at rest gives memory back by itself, here.
package heap
