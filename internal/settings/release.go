// SPDX-License-Identifier: Apache-2.0

package settings

// ReleaseArguments have the runner give up what it has made at the source, say
// so in a last commit, and do nothing more. The provider starts it so before it
// deletes a spout: it cannot reach the source itself.
var ReleaseArguments = []string{"release", "--commit"}

// Left is what a source makes at the other side that outlives the spout.
type Left struct {
	What    string // for example "the replication slot orders of the database shop at db.example.com"
	Command string // that removes it, by hand
}

// leaving are the settings of a source that leaves something, or nothing if it
// says no What.
type leaving interface{ left() Left }

// Left says what the chosen source leaves at the other side; ok is false if that
// is nothing.
func (s Settings) Left() (left Left, ok bool) {
	source, _ := s.chosen()
	l, ok := source.(leaving)
	if !ok {
		return Left{}, false
	}
	left = l.left()
	return left, left.What != ""
}

// LeftBy is what a spout leaves whose runner has these variables.
func LeftBy(env map[string]string) (left Left, ok bool) {
	environ := make([]string, 0, len(env))
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	s, err := Parse(environ)
	if err != nil {
		return Left{}, false // then its runner has not got that far
	}
	return s.Left()
}
