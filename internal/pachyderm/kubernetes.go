// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Pachyderm takes what Kubernetes or Linux then refuse, and the pipeline never
// starts. These are their rules. Each function returns what is wrong and what
// to do about it, "" for nothing.

const (
	// maxVariable is Linux's limit of one text that a program is started with:
	// MAX_ARG_STRLEN, the zero byte at its end included.
	maxVariable = 128 << 10
	// maxAnnotations is how much Kubernetes takes of annotations together.
	maxAnnotations = 256 << 10
)

var (
	variableName  = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)
	qualifiedName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue    = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	subdomain     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// VariableNameProblem looks at the name of an environment variable.
func VariableNameProblem(name string) string {
	if !variableName.MatchString(name) || name == "." || strings.HasPrefix(name, "..") {
		return "must have letters, digits, '_', '.' and '-' only, and must not begin with a digit or with \"..\""
	}
	return ""
}

// VariableSizeProblem looks at an environment variable as a whole.
func VariableSizeProblem(name, value string) string {
	if size := len(name) + len("=") + len(value) + 1; size > maxVariable {
		return fmt.Sprintf("takes %d bytes as an environment variable, with its name; Linux starts no program with one of more than %d. Shorten it, or mount it as a file from a Kubernetes secret", size, maxVariable)
	}
	return ""
}

// ArgumentProblem looks at one word of a command.
func ArgumentProblem(word string) string {
	if size := len(word) + 1; size > maxVariable {
		return fmt.Sprintf("takes %d bytes; Linux starts no program with an argument of more than %d. Put the text into a file", size, maxVariable)
	}
	return ""
}

// LabelNameProblem looks at the name of a label, an annotation, a taint or a device.
func LabelNameProblem(name string) string {
	prefix, short, found := strings.Cut(name, "/")
	if !found {
		prefix, short = "", name
	}
	switch {
	case !qualifiedName.MatchString(short):
		return "must have at most 63 letters, digits, '-', '_' and '.', begin and end with a letter or digit, and may follow a domain and '/', such as example.com/team"
	case found && (len(prefix) > 253 || !subdomain.MatchString(prefix)):
		return "must have a domain before '/': at most 253 lower-case letters, digits, '-' and '.', such as example.com/team"
	}
	return ""
}

// LabelValueProblem looks at the value of a label or a taint.
func LabelValueProblem(value string) string {
	if !labelValue.MatchString(value) {
		return "must have at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
	}
	return ""
}

// AnnotationsProblem looks at annotations together.
func AnnotationsProblem(annotations map[string]string) string {
	size := 0
	for name, value := range annotations {
		size += len(name) + len(value)
	}
	if size > maxAnnotations {
		return fmt.Sprintf("take %d bytes together, names and values; Kubernetes takes %d at most", size, maxAnnotations)
	}
	return ""
}

// ObjectNameProblem looks at the name of an object, such as a priority class.
func ObjectNameProblem(name string) string {
	if len(name) > 253 || !subdomain.MatchString(name) {
		return "must have at most 253 lower-case letters, digits, '-' and '.', and each part between dots must begin and end with a letter or digit"
	}
	return ""
}

// kubernetes checks what becomes of a specification in Kubernetes. The name of
// an annotation may have a domain with capitals.
func (p *problems) kubernetes(d *Document) {
	r := d.request
	t := r.GetTransform()
	each := func(field string, values map[string]string, ofName, ofValue func(name, value string) string) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if problem := ofName(name, values[name]); problem != "" {
				p.add(fmt.Sprintf("%s[%q]", field, name), "has a name that is refused by Kubernetes. It %s.", problem)
			}
			if problem := ofValue(name, values[name]); problem != "" {
				p.add(fmt.Sprintf("%s[%q]", field, name), "%s.", problem)
			}
		}
	}
	name := func(of func(string) string) func(string, string) string {
		return func(name, _ string) string { return of(name) }
	}
	value := func(_, value string) string { return LabelValueProblem(value) }
	free := func(_, _ string) string { return "" }
	each("transform.env", t.GetEnv(), name(VariableNameProblem), VariableSizeProblem)
	each("metadata.labels", r.GetMetadata().GetLabels(), name(LabelNameProblem), value)
	each("metadata.annotations", r.GetMetadata().GetAnnotations(), name(func(s string) string { return LabelNameProblem(strings.ToLower(s)) }), free)
	each("schedulingSpec.nodeSelector", r.GetSchedulingSpec().GetNodeSelector(), name(LabelNameProblem), value)
	if problem := AnnotationsProblem(r.GetMetadata().GetAnnotations()); problem != "" {
		p.add("metadata.annotations", "%s.", problem)
	}
	for n, word := range t.GetCmd() {
		if problem := ArgumentProblem(word); problem != "" {
			p.add(fmt.Sprintf("transform.cmd[%d]", n), "%s.", problem)
		}
	}
	if class := r.GetSchedulingSpec().GetPriorityClassName(); class != "" {
		if problem := ObjectNameProblem(class); problem != "" {
			p.add("schedulingSpec.priorityClassName", "is %q. It %s.", class, problem)
		}
	}
	for n, toleration := range r.Tolerations {
		if key := toleration.GetKey(); key != "" && LabelNameProblem(key) != "" {
			p.add(fmt.Sprintf("tolerations[%d].key", n), "is %q. It %s.", key, LabelNameProblem(key))
		}
		if problem := LabelValueProblem(toleration.GetValue()); problem != "" {
			p.add(fmt.Sprintf("tolerations[%d].value", n), "is %q. It %s.", toleration.GetValue(), problem)
		}
	}
}
