// SPDX-License-Identifier: Apache-2.0

// Package pages reads the commands that the documentation shows, so that tests
// can try each of them: a command that no test knows fails [TestEveryCommand].
package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Command is a command of a page.
type Command struct {
	Page  string
	Words []string // without quotes; "$(…)" stays as it is
}

func (c Command) String() string { return c.Page + ": " + strings.Join(c.Words, " ") }

// Name is the program's name.
func (c Command) Name() string { return c.Words[0] }

// folders hold pages below them that are written by hand, and templates of the
// others.
var folders = []string{".", "examples", "internal", "runner", "templates"}

// generated is made of templates.
var generated = regexp.MustCompile(`^(docs/(index|resources|data-sources|functions|actions|ephemeral-resources|list-resources|guides)|build|dist)\b`)

// block is one with commands of a shell.
var block = regexp.MustCompile("(?ms)^( *)```(sh|bash|shell|console)\n(.*?)^ *```")

// Commands returns all commands of all pages of the module in a folder.
func Commands(root string) ([]Command, error) {
	var all []Command
	seen := map[string]bool{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			page, err := filepath.Rel(root, path)
			page = filepath.ToSlash(page)
			if entry.IsDir() && (generated.MatchString(page) || strings.HasPrefix(entry.Name(), ".") && page != ".") {
				return fs.SkipDir
			}
			if err != nil || seen[page] || !strings.HasSuffix(page, ".md") && !strings.HasSuffix(page, ".md.tmpl") {
				return err
			}
			seen[page] = true
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, found := range block.FindAllStringSubmatch(string(text), -1) {
				for _, words := range Parse(found[3]) {
					all = append(all, Command{page, words})
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the pages: %w", err)
		}
	}
	return all, nil
}

// Parse takes a script apart into its commands, those in "$(…)" among them. It
// knows as much of a shell's language as pages use.
func Parse(script string) (commands [][]string) {
	p := parser{text: script}
	p.parse()
	return p.commands
}

type parser struct {
	text     string
	words    []string
	word     strings.Builder
	inWord   bool
	commands [][]string
}

func (p *parser) parse() {
	for p.text != "" {
		c := p.text[0]
		switch {
		case strings.HasPrefix(p.text, "\\\n"):
			p.text = p.text[2:]
			continue
		case c == '\\' && len(p.text) > 1:
			p.add(p.text[1:2])
			p.text = p.text[2:]
			continue
		case c == '\'' || c == '"':
			p.quoted(c)
			continue
		case strings.HasPrefix(p.text, "$("):
			p.nested()
			continue
		case c == '#' && !p.inWord:
			_, p.text, _ = strings.Cut(p.text, "\n")
			p.endCommand()
			continue
		case c == '\n' || c == '|' || c == '&' || c == ';':
			p.endCommand()
		case c == ' ' || c == '\t':
			p.endWord()
		default:
			p.add(p.text[:1])
		}
		p.text = p.text[1:]
	}
	p.endCommand()
}

func (p *parser) add(text string) {
	p.word.WriteString(text)
	p.inWord = true
}

// quoted reads a text in quotes. In double quotes, there may be commands.
func (p *parser) quoted(quote byte) {
	p.add("")
	p.text = p.text[1:]
	for p.text != "" && p.text[0] != quote {
		switch {
		case quote == '"' && strings.HasPrefix(p.text, "$("):
			p.nested()
		case quote == '"' && p.text[0] == '\\' && len(p.text) > 1:
			p.add(p.text[1:2])
			p.text = p.text[2:]
		default:
			p.add(p.text[:1])
			p.text = p.text[1:]
		}
	}
	p.text = strings.TrimPrefix(p.text, string(quote))
}

// nested reads "$(…)".
func (p *parser) nested() {
	depth, end := 0, len(p.text)
	for i, c := range p.text {
		if c == '(' {
			depth++
		}
		if c == ')' {
			if depth--; depth == 0 {
				end = i
				break
			}
		}
	}
	p.commands = append(p.commands, Parse(p.text[2:end])...)
	p.add("$(…)")
	p.text = p.text[min(end+1, len(p.text)):]
}

func (p *parser) endWord() {
	if p.inWord {
		p.words = append(p.words, p.word.String())
	}
	p.word.Reset()
	p.inWord = false
}

// assignment is what may stand in front of a command, or alone.
var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

func (p *parser) endCommand() {
	p.endWord()
	at := slices.IndexFunc(p.words, func(word string) bool { return !assignment.MatchString(word) })
	if at >= 0 {
		p.commands = append(p.commands, p.words[at:])
	}
	p.words = nil
}
