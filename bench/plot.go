package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
)

// plot draws what grows, a picture for each cost, and returns the links to them.
func (p *page) plot(part string) (string, error) {
	var links strings.Builder
	for _, s := range p.Series {
		if s.Part != part {
			continue
		}
		picture, err := s.draw()
		if err != nil {
			return "", fmt.Errorf("draw %s over %s: %w", s.Name, s.Over, err)
		}
		name := "images/growth-" + strings.ReplaceAll(s.Name+"-"+s.Over, " ", "-") + ".svg"
		p.plots[name] = picture
		fmt.Fprintf(&links, "![%s over %s](%s)\n", s.Name, s.Over, name)
	}
	return links.String(), nil
}

// draw is the median of each step as a line, and every round as a dot. What grows
// is drawn by its logarithm, the cost from zero.
func (s *series) draw() ([]byte, error) {
	line := chart.ContinuousSeries{Name: "median", Style: chart.Style{StrokeWidth: 2, StrokeColor: drawing.ColorFromHex("1f5fa8")}}
	dots := chart.ContinuousSeries{Name: "rounds", Style: chart.Style{StrokeWidth: chart.Disabled, DotWidth: 3, DotColor: drawing.ColorFromHex("d07020")}}
	var ticks []chart.Tick
	most := 0.0
	for i, step := range s.Steps {
		x := math.Log10(step)
		ticks = append(ticks, chart.Tick{Value: x, Label: count(step)})
		line.XValues = append(line.XValues, x)
		line.YValues = append(line.YValues, median(s.Rounds[i]))
		for _, y := range s.Rounds[i] {
			dots.XValues, dots.YValues = append(dots.XValues, x), append(dots.YValues, y)
			most = max(most, y)
		}
	}
	first, last := math.Log10(s.Steps[0]), math.Log10(s.Steps[len(s.Steps)-1])
	c := chart.Chart{
		Title: fmt.Sprintf("%s, %s of the server's processor", s.Name, s.Unit), TitleStyle: chart.Style{FontSize: 11},
		Width: 640, Height: 300, Background: chart.Style{Padding: chart.Box{Top: 40, Left: 20, Right: 20, Bottom: 10}},
		XAxis: chart.XAxis{Name: s.Over, Ticks: ticks, Range: &chart.ContinuousRange{Min: first - 0.1, Max: last + 0.1}},
		YAxis: chart.YAxis{Range: &chart.ContinuousRange{Min: 0, Max: 1.2 * most},
			ValueFormatter: func(v any) string { return number(v.(float64)) }},
		Series: []chart.Series{line, dots},
	}
	var picture bytes.Buffer
	err := c.Render(chart.SVG, &picture)
	return append(picture.Bytes(), '\n'), err
}

// count writes a number of things.
func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%g M", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%g k", n/1e3)
	}
	return fmt.Sprintf("%g", n)
}
